//! The content of a mail: its source parsed, with encoded words and transfer encodings decoded.

use std::collections::BTreeMap;

use mail_parser::{MessageParser, MessagePart, MimeHeaders, PartType};
use serde::Serialize;

/// A parsed mail. It has no `Debug`, since it may hold a link that signs somebody in.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct Contents {
    pub subject: String,
    /// The kind of mail, from the header `X-Bursar-Mail`.
    pub kind: Option<String>,
    /// The headers by their spelling in the mail; values of a repeated header are joined by a
    /// comma.
    pub headers: BTreeMap<String, String>,
    /// The text part, with plain line feeds.
    pub text: Option<String>,
    /// The HTML part, with plain line feeds.
    pub html: Option<String>,
    #[serde(skip)]
    pub attachments: Vec<Attachment>,
}

/// A part that is neither the text nor the HTML.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    pub name: Option<String>,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl Contents {
    /// The content of these bytes. It is empty if they are no mail.
    pub fn parse(raw: &[u8]) -> Contents {
        // Headers that are not needed to find the parts are read as text, which decodes encoded
        // words only.
        let parser = MessageParser::new()
            .with_mime_headers()
            .default_header_text();
        let Some(message) = parser.parse(raw) else {
            return Contents::default();
        };
        let mut headers = BTreeMap::<String, String>::new();
        for (header, (name, raw)) in message.headers().iter().zip(message.headers_raw()) {
            let value = header
                .value()
                .as_text()
                .map_or_else(|| raw.replace("\r\n", ""), str::to_owned);
            let joined = headers.entry(name.to_owned()).or_default();
            joined.push_str(if joined.is_empty() { "" } else { ", " });
            joined.push_str(value.trim());
        }
        let header = |name: &str| {
            headers
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        Contents {
            subject: header("Subject").cloned().unwrap_or_default(),
            kind: header("X-Bursar-Mail").cloned(),
            text: message.text_bodies().find_map(|part| match &part.body {
                PartType::Text(text) => Some(text.replace("\r\n", "\n")),
                _ => None,
            }),
            html: message.html_bodies().find_map(|part| match &part.body {
                PartType::Html(html) => Some(html.replace("\r\n", "\n")),
                _ => None,
            }),
            attachments: message.attachments().map(Attachment::from_part).collect(),
            headers,
        }
    }
}

impl Attachment {
    fn from_part(part: &MessagePart<'_>) -> Attachment {
        let media_type = part
            .content_type()
            .and_then(|kind| Some(format!("{}/{}", kind.ctype(), kind.subtype()?)));
        Attachment {
            name: part.attachment_name().map(str::to_owned),
            media_type: media_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
            bytes: part.contents().to_vec(),
        }
    }
}
