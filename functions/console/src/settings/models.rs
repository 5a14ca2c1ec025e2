//! A list of models as a form writes it, and whether there are such models.

use bursar_core::domain::programme::tiers::{self, Tiers};

use super::reader::words;

const MOST: usize = 200;

/// The models of a text, each once, or the name of a tier alone; an error is a sentence for the person who typed it.
pub(crate) fn models_of(text: &str) -> Result<Vec<String>, String> {
    let mut models: Vec<String> = Vec::new();
    for word in words(text) {
        let is_slug = |c: char| c.is_ascii_alphanumeric() || "/-_.:~@".contains(c);
        if !word.chars().all(is_slug) || word.len() > 200 {
            return Err(format!("{word} is no model's slug."));
        }
        if !word.contains('/') && !is_only(word, text) {
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

/// The reason that these models cannot be saved: they name a tier that there is not.
pub(crate) fn unknown_tier(models: &[String], tiers: &Tiers) -> Option<String> {
    let named = tiers::named_in(models).filter(|name| tiers.models(name).is_none())?;
    let known: Vec<&str> = tiers.iter().map(|tier| tier.name.as_str()).collect();
    Some(format!(
        "{named} is neither a tier nor a model. Write models with their provider, such as openai/gpt-4o-mini, or one of the tiers: {}.",
        known.join(", ")
    ))
}

/// Whether a word is all of the text, and can be a tier's name.
fn is_only(word: &str, text: &str) -> bool {
    tiers::is_name(word) && words(text).count() == 1
}
