//! The picture of a budget's burn in a mail. [`drawing`] decides how it looks.

use bursar_core::domain::usage::burn::Burn;

mod drawing;
#[cfg(test)]
mod tests;

/// A picture, and the text for readers who do not see it.
pub(crate) struct Picture {
    pub(crate) png: Vec<u8>,
    pub(crate) words: String,
}

impl Picture {
    /// The picture, or `None` when it cannot be drawn; the mail is sent without it then.
    pub(crate) fn draw(burn: &Burn<'_>) -> Option<Picture> {
        match drawing::png(&burn.scene()) {
            Ok(png) => Some(Picture { png, words: burn.words() }),
            Err(error) => {
                tracing::error!(%error, "a picture could not be drawn");
                None
            }
        }
    }
}
