//! Examples of using a key, as text to copy: valid code whatever the programme is called, and never
//! with the key itself.

use bursar_core::domain::grant::View;
use bursar_core::domain::programme::rules::{DataPolicy, Region, Rules};
use bursar_core::domain::usage::pilot::WorkDay;
use bursar_core::store::ListedModels;
use serde_json::json;
use unicode_normalization::UnicodeNormalization;

use crate::my::rules::StudentRules;

/// The model of the examples when the programme restricts none: cheap and well known.
pub(crate) const ANY_MODEL: &str = "openai/gpt-4o-mini";

/// The tokens of answer that a coding agent is to ask for with each request: half of what it asks
/// for by itself, since what that could cost must be left of the cap.
const LONGEST_ANSWER: u32 = 16_000;
/// The tokens after which a conversation is summed up, where an agent does not know the model.
const CONTEXT: u32 = 128_000;

/// The values that the examples of one programme are made from.
pub(crate) struct Example<'a> {
    pub(crate) view: &'a View,
    /// What this key may call, as the provider confirmed it, and whether that is being changed.
    pub(crate) rules: &'a StudentRules,
    pub(crate) url: &'a str,
    /// A model that this key may call.
    pub(crate) model: &'a str,
    /// What answers cost, where that is known.
    pub(crate) prices: Option<&'a ListedModels>,
    /// What a day of work cost lately in the programme.
    pub(crate) work_day: Option<WorkDay>,
    /// The programme's name in characters that an HTTP header can carry.
    pub(crate) title: String,
}

impl<'a> Example<'a> {
    pub(crate) fn new(url: &'a str, view: &'a View, rules: &'a StudentRules) -> Example<'a> {
        let named =
            list_paid_models(rules)
                .next()
                .or(rules.confirmed.models.first().map(String::as_str));
        let model = named.or(rules.other_model.as_deref()).unwrap_or(ANY_MODEL);
        let title = header_safe(&view.programme.settings.name)
            .unwrap_or_else(|| view.programme.id.to_string());
        Example {
            view,
            rules,
            url,
            model,
            prices: None,
            work_day: None,
            title,
        }
    }

    /// The base address, the title, the model and the user, as a language writes texts. The user is
    /// the grant's pseudonym: the provider tells users apart by it, so that it can block one of
    /// them instead of all.
    fn values(&self, written: fn(&str) -> String) -> [String; 4] {
        [
            self.url,
            &self.title,
            self.model,
            self.view.grant.id.as_str(),
        ]
        .map(written)
    }

    /// What else is promised or bound of those who serve the models, a sentence each.
    pub(crate) fn of_providers(&self) -> Vec<String> {
        let Rules {
            models: _,
            data_policy,
            providers,
            regions,
        } = &self.rules.confirmed;
        let mut said = Vec::new();
        if !providers.is_empty() {
            said.push(format!(
                "Only these providers may answer: {}.",
                providers.join(", ")
            ));
        }
        match regions[..] {
            [] => {}
            [Region::Europe] => said.push("Requests are answered in Europe only.".to_owned()),
            [Region::Us] => {
                said.push("Requests are answered in the United States only.".to_owned());
            }
            _ => {
                said.push("Requests are answered in Europe and the United States only.".to_owned());
            }
        }
        match data_policy {
            DataPolicy::Account => {}
            DataPolicy::NoTraining => {
                said.push("What you send is not used for training.".to_owned());
            }
            DataPolicy::ZeroRetention => {
                said.push("What you send is neither kept nor used for training.".to_owned());
            }
        }
        if !said.is_empty() {
            said.push(
                "Of the models, only those answer that are offered in this way: if one is refused, try another."
                    .to_owned(),
            );
        }
        said
    }

    pub(crate) fn curl(&self) -> String {
        let [_, _, model, user] = self.values(literal);
        let body = format!(
            "{{\n    \"model\": {model},\n    \"user\": {user},\n    \"max_tokens\": 200,\n    \
             \"messages\": [{{\"role\": \"user\", \"content\": \"Say hello.\"}}]\n  }}"
        );
        [
            &format!(
                "curl {}",
                quote_for_shell(&format!("{}/chat/completions", self.url))
            ),
            "-H \"Authorization: Bearer $OPENROUTER_API_KEY\"",
            "-H 'Content-Type: application/json'",
            &format!(
                "-H {}",
                quote_for_shell(&format!("X-OpenRouter-Title: {}", self.title))
            ),
            &format!("-d {}", quote_for_shell(&body)),
        ]
        .join(" \\\n  ")
    }

    pub(crate) fn curl_of_what_is_left(&self) -> String {
        format!(
            "curl {} -H \"Authorization: Bearer $OPENROUTER_API_KEY\"",
            quote_for_shell(&format!("{}/key", self.url))
        )
    }

    pub(crate) fn powershell(&self) -> String {
        let [_, title, model, user] = self.values(quote_for_powershell);
        format!(
            r#"$headers = @{{ Authorization = "Bearer $env:OPENROUTER_API_KEY"; 'X-OpenRouter-Title' = {title} }}
$body = @{{
  model = {model}
  user = {user}
  max_tokens = 200
  messages = @(@{{ role = 'user'; content = 'Say hello.' }})
}} | ConvertTo-Json -Depth 4
$answer = Invoke-RestMethod -Method Post {url}/chat/completions -Headers $headers -ContentType application/json -Body $body
$answer.choices[0].message.content

# What is left of your cap, in dollars:
(Invoke-RestMethod {url}/key -Headers $headers).data.limit_remaining"#,
            url = self.url,
        )
    }

    pub(crate) fn python(&self) -> String {
        let [url, title, model, user] = self.values(literal);
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
print(answer.choices[0].message.content)

# What is left of your cap, in dollars:
print(client.get("/key", cast_to=object)["data"]["limit_remaining"])"#
        )
    }

    pub(crate) fn javascript(&self) -> String {
        let [url, title, model, user] = self.values(literal);
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
console.log(answer.choices[0].message.content);

// What is left of your cap, in dollars:
console.log((await client.get("/key")).data.limit_remaining);"#
        )
    }

    /// The lines for the `config.yaml` of the Continue extension. Its built-in entry for OpenRouter
    /// is avoided, since that sends a referrer.
    pub(crate) fn editor(&self) -> String {
        let [url, title, model, user] = self.values(literal);
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
        user: {user}
# What is left of your cap, in dollars, says limit_remaining in the answer of:
#   {left}"#,
            left = self.curl_of_what_is_left(),
        )
    }

    /// The model that a coding agent is to ask, of this maker where the key may call one, and the
    /// one for its small jobs: the cheapest.
    fn agent_models(&self, maker: &str) -> [&'a str; 2] {
        let model = list_paid_models(self.rules)
            .find(|model| model.starts_with(maker))
            .unwrap_or(self.model);
        let priced = list_paid_models(self.rules)
            .filter_map(|model| Some((self.prices?.price_of(model)?, model)));
        [model, priced.min().map_or(model, |(_, cheapest)| cheapest)]
    }

    /// The lines for a shell.
    pub(crate) fn claude_code(&self) -> String {
        self.claude_variables("export ", "=", "\"$OPENROUTER_API_KEY\"", quote_for_shell)
    }

    pub(crate) fn claude_code_in_powershell(&self) -> String {
        self.claude_variables(
            "$env:",
            " = ",
            "$env:OPENROUTER_API_KEY",
            quote_for_powershell,
        )
    }

    /// Each class of models that it knows is set, or it would call one that the key may not.
    fn claude_variables(
        &self,
        set: &str,
        to_be: &str,
        key: &str,
        written: fn(&str) -> String,
    ) -> String {
        let [model, small_model] = self.agent_models("anthropic/").map(written);
        let url = written(self.url.trim_end_matches("/v1"));
        let title = written(&format!("X-OpenRouter-Title: {}", self.title));
        format!(
            r#"{set}ANTHROPIC_BASE_URL{to_be}{url}
{set}ANTHROPIC_AUTH_TOKEN{to_be}{key}
{set}ANTHROPIC_API_KEY{to_be}''
{set}ANTHROPIC_CUSTOM_HEADERS{to_be}{title}
{set}ANTHROPIC_MODEL{to_be}{model}
{set}ANTHROPIC_DEFAULT_FABLE_MODEL{to_be}{model}
{set}ANTHROPIC_DEFAULT_OPUS_MODEL{to_be}{model}
{set}ANTHROPIC_DEFAULT_SONNET_MODEL{to_be}{model}
{set}ANTHROPIC_DEFAULT_HAIKU_MODEL{to_be}{small_model}
{set}CLAUDE_CODE_MAX_OUTPUT_TOKENS{to_be}{LONGEST_ANSWER}"#
        )
    }

    /// The file `config.toml`. It knows no length of answers.
    pub(crate) fn codex(&self) -> String {
        let [url, title, ..] = self.values(literal);
        let [model, _] = self.agent_models("openai/").map(literal);
        format!(
            r#"model = {model}
review_model = {model}
model_provider = "bursar"

[model_providers.bursar]
name = {title}
base_url = {url}
env_key = "OPENROUTER_API_KEY"
wire_api = "responses"
http_headers = {{ "X-OpenRouter-Title" = {title} }}"#
        )
    }

    /// The file `opencode.json`. Its built-in entry for OpenRouter sends a referrer.
    pub(crate) fn opencode(&self) -> String {
        let models = self.agent_models("");
        let [model, small_model] = models.map(|model| format!("bursar/{model}"));
        let limit = json!({ "limit": { "context": CONTEXT, "output": LONGEST_ANSWER } });
        let limits: serde_json::Map<_, _> = models
            .map(|model| (model.to_owned(), limit.clone()))
            .into_iter()
            .collect();
        let options = json!({
            "baseURL": self.url,
            "apiKey": "{env:OPENROUTER_API_KEY}",
            "headers": { "X-OpenRouter-Title": self.title },
        });
        let provider = json!({ "name": self.title, "npm": "@ai-sdk/openai-compatible", "options": options, "models": limits });
        format!(
            "{:#}",
            json!({ "model": model, "small_model": small_model, "provider": { "bursar": provider } })
        )
    }
}

/// The models that the key may call and that cost something.
fn list_paid_models(rules: &StudentRules) -> impl Iterator<Item = &str> {
    rules
        .confirmed
        .models
        .iter()
        .map(String::as_str)
        .filter(|model| !model.ends_with(":free"))
}

/// The text as a JSON string literal, which is also valid in Python, JavaScript and YAML.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text as one shell word, in single quotes.
fn quote_for_shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The text as a PowerShell string that nothing is put into.
fn quote_for_powershell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The part of a name that an HTTP header can carry: visible ASCII, without accents, and without
/// the braces in which tools look for something to put in. `None` when nothing is left.
fn header_safe(name: &str) -> Option<String> {
    let plain: String = name
        .nfkd()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| matches!(c, ' '..='z' | '~'))
        .collect();
    let words: Vec<&str> = plain.split(' ').filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{a_view, listed, settings_mut};

    const URL: &str = "https://openrouter.ai/api/v1";

    #[test]
    fn a_name_with_every_quote_is_one_word_in_each_language() {
        let mut view = a_view();
        settings_mut(&mut view).name = "O'Neil's \"CS\" \\ $HOME `x` – Übung\u{7}".to_owned();
        let rules = StudentRules::default();
        let example = Example::new(URL, &view, &rules);
        let in_shell = r#"-H 'X-OpenRouter-Title: O'\''Neil'\''s "CS" \ $HOME `x` Ubung' \"#;
        assert!(example.curl().contains(in_shell), "{}", example.curl());
        let doubled = r#"'X-OpenRouter-Title' = 'O''Neil''s "CS" \ $HOME `x` Ubung' }"#;
        assert!(
            example.powershell().contains(doubled),
            "{}",
            example.powershell()
        );
        let quoted = r#""O'Neil's \"CS\" \\ $HOME `x` Ubung""#;
        for (text, before) in [
            (example.python(), "X-OpenRouter-Title\": "),
            (example.javascript(), "X-OpenRouter-Title\": "),
            (example.editor(), "X-OpenRouter-Title: "),
        ] {
            assert!(text.contains(&format!("{before}{quoted}")), "{text}");
        }
        settings_mut(&mut view).name = "日本語".to_owned();
        assert!(
            Example::new(URL, &view, &rules)
                .curl()
                .contains("X-OpenRouter-Title: cs-pilot'")
        );
    }

    /// The model in the example is one that the key may call, and a free one only if there is no
    /// other.
    #[test]
    fn the_example_model_may_be_called() {
        let view = a_view();
        assert_eq!(
            Example::new(URL, &view, &StudentRules::default()).model,
            ANY_MODEL
        );
        let confirmed = |models: &[&str]| {
            let models = models.iter().map(|model| (*model).to_owned()).collect();
            let confirmed = Rules {
                models,
                data_policy: DataPolicy::NoTraining,
                ..Rules::default()
            };
            StudentRules {
                confirmed,
                ..StudentRules::default()
            }
        };
        let both = confirmed(&["a/one:free", "b/two"]);
        let example = Example::new(URL, &view, &both);
        assert_eq!(
            (example.model, example.rules.confirmed.models.len()),
            ("b/two", 2)
        );
        assert_eq!(example.of_providers().len(), 2);
        assert!(
            Example::new(URL, &view, &StudentRules::default())
                .of_providers()
                .is_empty()
        );
        let bound = Rules {
            providers: vec!["anthropic".to_owned()],
            regions: vec![Region::Europe],
            ..Rules::default()
        };
        let bound = StudentRules {
            confirmed: bound,
            ..StudentRules::default()
        };
        let said = Example::new(URL, &view, &bound).of_providers().join(" ");
        insta::assert_snapshot!(said, @"Only these providers may answer: anthropic. Requests are answered in Europe only. Of the models, only those answer that are offered in this way: if one is refused, try another.");
        assert_eq!(
            Example::new(URL, &view, &confirmed(&["c/three:free"])).model,
            "c/three:free"
        );
    }

    /// An agent is set up with a model of its own maker and, for small jobs, with the cheapest:
    /// never with one that the key may not call.
    #[test]
    fn agents_ask_allowed_models_only() {
        let mut view = a_view();
        settings_mut(&mut view).name = "{file:~/.ssh/id} O'Neil".to_owned();
        let models = [
            "anthropic/large",
            "b/small",
            "b/small:free",
            "openai/medium",
        ]
        .map(str::to_owned);
        let prices = listed(models.iter().map(String::as_str).zip([25, 1, 0, 10]));
        let confirmed = Rules {
            models: models.to_vec(),
            ..Rules::default()
        };
        let rules = StudentRules {
            confirmed,
            ..StudentRules::default()
        };
        let example = Example {
            prices: Some(&prices),
            ..Example::new(URL, &view, &rules)
        };
        insta::assert_snapshot!(example.claude_code(), @r#"
        export ANTHROPIC_BASE_URL='https://openrouter.ai/api'
        export ANTHROPIC_AUTH_TOKEN="$OPENROUTER_API_KEY"
        export ANTHROPIC_API_KEY=''
        export ANTHROPIC_CUSTOM_HEADERS='X-OpenRouter-Title: file:~/.ssh/id O'\''Neil'
        export ANTHROPIC_MODEL='anthropic/large'
        export ANTHROPIC_DEFAULT_FABLE_MODEL='anthropic/large'
        export ANTHROPIC_DEFAULT_OPUS_MODEL='anthropic/large'
        export ANTHROPIC_DEFAULT_SONNET_MODEL='anthropic/large'
        export ANTHROPIC_DEFAULT_HAIKU_MODEL='b/small'
        export CLAUDE_CODE_MAX_OUTPUT_TOKENS=16000
        "#);
        let lines = example.claude_code_in_powershell();
        insta::assert_snapshot!(lines.lines().take(4).collect::<Vec<_>>().join("\n"), @"
        $env:ANTHROPIC_BASE_URL = 'https://openrouter.ai/api'
        $env:ANTHROPIC_AUTH_TOKEN = $env:OPENROUTER_API_KEY
        $env:ANTHROPIC_API_KEY = ''
        $env:ANTHROPIC_CUSTOM_HEADERS = 'X-OpenRouter-Title: file:~/.ssh/id O''Neil'
        ");
        insta::assert_snapshot!(example.codex(), @r#"
        model = "openai/medium"
        review_model = "openai/medium"
        model_provider = "bursar"

        [model_providers.bursar]
        name = "file:~/.ssh/id O'Neil"
        base_url = "https://openrouter.ai/api/v1"
        env_key = "OPENROUTER_API_KEY"
        wire_api = "responses"
        http_headers = { "X-OpenRouter-Title" = "file:~/.ssh/id O'Neil" }
        "#);
        insta::assert_snapshot!(example.opencode(), @r#"
        {
          "model": "bursar/anthropic/large",
          "provider": {
            "bursar": {
              "models": {
                "anthropic/large": {
                  "limit": {
                    "context": 128000,
                    "output": 16000
                  }
                },
                "b/small": {
                  "limit": {
                    "context": 128000,
                    "output": 16000
                  }
                }
              },
              "name": "file:~/.ssh/id O'Neil",
              "npm": "@ai-sdk/openai-compatible",
              "options": {
                "apiKey": "{env:OPENROUTER_API_KEY}",
                "baseURL": "https://openrouter.ai/api/v1",
                "headers": {
                  "X-OpenRouter-Title": "file:~/.ssh/id O'Neil"
                }
              }
            }
          },
          "small_model": "bursar/b/small"
        }
        "#);

        // Without a price nothing is known to be cheaper, and without names everything may be
        // called.
        assert_eq!(
            Example::new(URL, &view, &rules).agent_models("b/"),
            ["b/small", "b/small"]
        );
        let every = StudentRules::default();
        assert_eq!(
            Example::new(URL, &view, &every).agent_models("anthropic/"),
            [ANY_MODEL, ANY_MODEL]
        );
    }
}
