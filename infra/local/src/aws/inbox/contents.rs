//! The content of a mail: its source parsed, with encoded words and transfer encodings decoded.

use std::collections::BTreeMap;

use mail_parser::{HeaderName, Message, MessageParser, MimeHeaders, PartType};

/// A parsed mail. It has no `Debug`, since it may hold a link that signs somebody in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contents {
    pub subject: String,
    /// The kind of mail, from the header `X-Bursar-Mail`.
    pub kind: Option<String>,
    /// The headers by their spelling in the mail; values of a repeated header are joined by a comma.
    pub headers: BTreeMap<String, String>,
    /// The text part, with plain line feeds.
    pub text: Option<String>,
    /// The HTML part, with plain line feeds. Pictures are `cid:` URLs, see
    /// [`Contents::html_with_pictures`].
    pub html: Option<String>,
    pub attachments: Vec<Attachment>,
}

/// A part that is neither the text nor the HTML.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    pub name: Option<String>,
    pub media_type: String,
    /// The id by which the HTML refers to it.
    pub content_id: Option<String>,
    pub bytes: Vec<u8>,
}

impl Contents {
    /// The content of these bytes. It is empty if they are no mail.
    pub fn of(raw: &[u8]) -> Contents {
        let headers = headers(raw);
        let header =
            |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone());
        let Some(message) = MessageParser::default().parse(raw) else {
            return Contents::default();
        };
        let text = message.text_bodies().find_map(|part| match &part.body {
            PartType::Text(text) => Some(plain(text)),
            _ => None,
        });
        let html = message.html_bodies().find_map(|part| match &part.body {
            PartType::Html(html) => Some(plain(html)),
            _ => None,
        });
        let attachments = message.attachments().map(|part| Attachment {
            name: part.attachment_name().map(str::to_owned),
            media_type: part.content_type().map_or_else(
                || "application/octet-stream".to_owned(),
                |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("octet-stream")),
            ),
            content_id: part.content_id().map(str::to_owned),
            bytes: part.contents().to_vec(),
        });
        Contents {
            subject: header("Subject").unwrap_or_default(),
            kind: header("X-Bursar-Mail"),
            text,
            html,
            attachments: attachments.collect(),
            headers,
        }
    }

    /// The HTML with its pictures inlined, so that it can be shown alone.
    pub fn html_with_pictures(&self) -> Option<String> {
        let mut html = self.html.clone()?;
        for picture in &self.attachments {
            if let Some(id) = &picture.content_id {
                let bytes = data_encoding::BASE64.encode(&picture.bytes);
                html = html.replace(&format!("cid:{id}"), &format!("data:{};base64,{bytes}", picture.media_type));
            }
        }
        Some(html)
    }
}

fn headers(raw: &[u8]) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::<String, String>::new();
    // Every header is parsed as unstructured text, which only decodes encoded words and folding. The
    // library applies the default only if a header is named.
    let message = MessageParser::new().header_text(HeaderName::Subject).default_header_text().parse_headers(raw);
    for header in message.iter().flat_map(Message::headers) {
        let value = header.value().as_text().unwrap_or_default().trim();
        headers
            .entry(header.name().to_owned())
            .and_modify(|before| *before = format!("{before}, {value}"))
            .or_insert_with(|| value.to_owned());
    }
    headers
}

fn plain(text: &str) -> String {
    text.replace("\r\n", "\n")
}
