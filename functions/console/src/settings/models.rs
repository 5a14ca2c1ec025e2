//! A list of models as a form writes it.

use super::reader::words;

const MOST: usize = 200;

/// The models of a text, each once; an error is a sentence for the person who typed it.
pub(crate) fn models_of(text: &str) -> Result<Vec<String>, String> {
    let mut models: Vec<String> = Vec::new();
    for word in words(text) {
        let is_slug = |c: char| c.is_ascii_alphanumeric() || "/-_.:~@".contains(c);
        if !word.chars().all(is_slug) || word.len() > 200 {
            return Err(format!("{word} is no model's slug."));
        }
        if !word.contains('/') {
            return Err(format!(
                "{word} names no provider. Write each model as the provider's list does, such as openai/gpt-4o-mini."
            ));
        }
        if !models.iter().any(|known| known == word) {
            models.push(word.to_owned());
        }
    }
    if models.len() > MOST {
        return Err(format!("At most {MOST} models."));
    }
    Ok(models)
}
