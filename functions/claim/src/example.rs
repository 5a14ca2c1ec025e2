//! How to use a key, as text to copy: correct code whatever the programme is called, and never with the key itself.

use bursar_core::domain::grant::View;
use bursar_core::web::Site;
use unicode_normalization::UnicodeNormalization;

/// When a programme names no model, one that is cheap and known to everybody.
const ANY_MODEL: &str = "openai/gpt-4o-mini";

/// What the examples for one programme are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Example<'a> {
    pub(crate) programme: &'a str,
    pub(crate) url: &'a str,
    /// One that this key may call.
    pub(crate) model: &'a str,
    /// All that it may call, models and tiers; empty where nobody chose.
    pub(crate) models: Vec<&'a str>,
    /// The programme's name as a header can carry it.
    title: String,
    /// The grant's pseudonym: the provider tells users apart by it, and blocks one rather than everybody.
    user: &'a str,
}

impl<'a> Example<'a> {
    pub(crate) fn of(site: &'a Site, view: &'a View) -> Example<'a> {
        Example::at(&site.provider_url, view)
    }

    fn at(url: &'a str, view: &'a View) -> Example<'a> {
        let settings = &view.programme.settings;
        let group = view.grant.group.as_deref().and_then(|group| settings.groups.get(group));
        let models = group.map(|group| &group.models).filter(|models| !models.is_empty()).unwrap_or(&settings.models);
        let models: Vec<&str> = models.iter().map(String::as_str).collect();
        // A tier's name is no model's.
        let slugs = || models.iter().copied().filter(|model| model.contains('/'));
        let model = slugs().find(|model| !model.ends_with(":free")).or_else(|| slugs().next()).unwrap_or(ANY_MODEL);
        let title = header_safe(&settings.name).unwrap_or_else(|| view.programme.id.to_string());
        Example { programme: &settings.name, url, model, models, title, user: view.grant.id.as_str() }
    }

    pub(crate) fn curl(&self) -> String {
        let body = format!(
            "{{\n    \"model\": {},\n    \"user\": {},\n    \"max_tokens\": 200,\n    \
             \"messages\": [{{\"role\": \"user\", \"content\": \"Say hello.\"}}]\n  }}",
            literal(self.model),
            literal(self.user),
        );
        [
            &format!("curl {}", in_shell(&format!("{}/chat/completions", self.url))),
            "-H \"Authorization: Bearer $OPENROUTER_API_KEY\"",
            "-H 'Content-Type: application/json'",
            &format!("-H {}", in_shell(&format!("X-OpenRouter-Title: {}", self.title))),
            &format!("-d {}", in_shell(&body)),
        ]
        .join(" \\\n  ")
    }

    pub(crate) fn python(&self) -> String {
        format!(
            r#"import os
from openai import OpenAI

client = OpenAI(
    base_url={url},
    api_key=os.environ["OPENROUTER_API_KEY"],
    default_headers={{"X-OpenRouter-Title": {title}}},
)
answer = client.chat.completions.create(
    model={model},
    user={user},
    max_tokens=200,
    messages=[{{"role": "user", "content": "Say hello."}}],
)
print(answer.choices[0].message.content)"#,
            url = literal(self.url),
            title = literal(&self.title),
            model = literal(self.model),
            user = literal(self.user),
        )
    }

    pub(crate) fn javascript(&self) -> String {
        format!(
            r#"import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: {url},
  apiKey: process.env.OPENROUTER_API_KEY,
  defaultHeaders: {{ "X-OpenRouter-Title": {title} }},
}});
const answer = await client.chat.completions.create({{
  model: {model},
  user: {user},
  max_tokens: 200,
  messages: [{{ role: "user", content: "Say hello." }}],
}});
console.log(answer.choices[0].message.content);"#,
            url = literal(self.url),
            title = literal(&self.title),
            model = literal(self.model),
            user = literal(self.user),
        )
    }

    /// For the extension Continue, in the file `config.yaml` of its folder. Its way to OpenRouter proper would send a referrer.
    pub(crate) fn editor(&self) -> String {
        format!(
            r#"name: Bursar
version: 0.0.1
schema: v1
models:
  - name: {title}
    provider: openai
    apiBase: {url}
    apiKey: ${{{{ secrets.OPENROUTER_API_KEY }}}}
    model: {model}
    requestOptions:
      headers:
        X-OpenRouter-Title: {title}
      extraBodyProperties:
        user: {user}"#,
            url = literal(self.url),
            title = literal(&self.title),
            model = literal(self.model),
            user = literal(self.user),
        )
    }
}

/// A text as JSON has it, which is also how Python, JavaScript and YAML have it.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text as one word of a shell, which takes everything between single quotes as it stands.
fn in_shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What of a name a header can carry: visible ASCII, accents taken off. None when nothing is left.
fn header_safe(name: &str) -> Option<String> {
    let plain: String =
        name.nfkd().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| matches!(c, ' '..='~')).collect();
    let words: Vec<&str> = plain.split(' ').filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use bursar_core::domain::programme::Group;

    use super::*;
    use crate::testing::a_view;

    const URL: &str = "https://openrouter.ai/api/v1";

    #[test]
    fn a_name_with_every_quote_is_one_word_in_each_language() {
        let mut view = a_view();
        view.programme.settings.name = "O'Neil's \"CS\" \\ $HOME `x` – Übung\u{7}".to_owned();
        let example = Example::at(URL, &view);
        insta::assert_snapshot!(example.curl(), @r#"
        curl 'https://openrouter.ai/api/v1/chat/completions' \
          -H "Authorization: Bearer $OPENROUTER_API_KEY" \
          -H 'Content-Type: application/json' \
          -H 'X-OpenRouter-Title: O'\''Neil'\''s "CS" \ $HOME `x` Ubung' \
          -d '{
            "model": "openai/gpt-4o-mini",
            "user": "0123456789abcdef",
            "max_tokens": 200,
            "messages": [{"role": "user", "content": "Say hello."}]
          }'
        "#);
        insta::assert_snapshot!(example.python(), @r#"
        import os
        from openai import OpenAI

        client = OpenAI(
            base_url="https://openrouter.ai/api/v1",
            api_key=os.environ["OPENROUTER_API_KEY"],
            default_headers={"X-OpenRouter-Title": "O'Neil's \"CS\" \\ $HOME `x` Ubung"},
        )
        answer = client.chat.completions.create(
            model="openai/gpt-4o-mini",
            user="0123456789abcdef",
            max_tokens=200,
            messages=[{"role": "user", "content": "Say hello."}],
        )
        print(answer.choices[0].message.content)
        "#);
        insta::assert_snapshot!(example.javascript(), @r#"
        import OpenAI from "openai";

        const client = new OpenAI({
          baseURL: "https://openrouter.ai/api/v1",
          apiKey: process.env.OPENROUTER_API_KEY,
          defaultHeaders: { "X-OpenRouter-Title": "O'Neil's \"CS\" \\ $HOME `x` Ubung" },
        });
        const answer = await client.chat.completions.create({
          model: "openai/gpt-4o-mini",
          user: "0123456789abcdef",
          max_tokens: 200,
          messages: [{ role: "user", content: "Say hello." }],
        });
        console.log(answer.choices[0].message.content);
        "#);
        insta::assert_snapshot!(example.editor(), @r#"
        name: Bursar
        version: 0.0.1
        schema: v1
        models:
          - name: "O'Neil's \"CS\" \\ $HOME `x` Ubung"
            provider: openai
            apiBase: "https://openrouter.ai/api/v1"
            apiKey: ${{ secrets.OPENROUTER_API_KEY }}
            model: "openai/gpt-4o-mini"
            requestOptions:
              headers:
                X-OpenRouter-Title: "O'Neil's \"CS\" \\ $HOME `x` Ubung"
              extraBodyProperties:
                user: "0123456789abcdef"
        "#);
        view.programme.settings.name = "日本語".to_owned();
        assert!(Example::at(URL, &view).curl().contains("X-OpenRouter-Title: cs-pilot'"));
    }

    #[test]
    fn the_model_is_one_that_this_key_may_call_and_free_only_where_there_is_no_other() {
        let mut view = a_view();
        let list = |models: &[&str]| models.iter().map(|model| (*model).to_owned()).collect::<Vec<String>>();
        assert_eq!(Example::at(URL, &view).model, ANY_MODEL);
        view.programme.settings.models = list(&["basic", "a/one:free", "b/two"]);
        assert_eq!(Example::at(URL, &view).model, "b/two");
        assert_eq!(Example::at(URL, &view).models, ["basic", "a/one:free", "b/two"]);
        let group = Group { cap: None, models: list(&["c/three:free"]) };
        view.programme.settings.groups.insert("A".to_owned(), group);
        assert_eq!(Example::at(URL, &view).model, "b/two", "of another group");
        view.grant.group = Some("A".to_owned());
        assert_eq!(Example::at(URL, &view).model, "c/three:free");
    }
}
