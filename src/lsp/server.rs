//! Dispatch: requests and notifications by method.

use super::document::Document;
use lsp_types::{Position, Uri};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::{Value, json};

/// The largest text that is looked at, in bytes.
const LARGEST: usize = 4 << 20;

/// What a server answers to a request.
pub type Answer = Result<Value, (i32, String)>;

/// The open texts.
#[derive(Default)]
pub struct Server {
    documents: FxHashMap<String, Document>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct At {
    text_document: Named,
    position: Option<Position>,
}

#[derive(Deserialize)]
struct Named {
    uri: Uri,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    text_document: Text,
}

#[derive(Deserialize)]
struct Text {
    uri: Uri,
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    text_document: Named,
    content_changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    text: String,
}

impl Server {
    /// What the server can do.
    pub fn capabilities() -> Value {
        json!({
            "textDocumentSync": {"openClose": true, "change": 1},
            "hoverProvider": true,
            "completionProvider": {"triggerCharacters": [".", "[", ":", "@", "("]},
            "signatureHelpProvider": {"triggerCharacters": ["(", ","]},
            "documentFormattingProvider": true,
            "definitionProvider": true,
        })
    }

    /// Answers a request.
    ///
    /// # Errors
    /// Code and message of the protocol: an unknown method, parameters that do not fit.
    pub fn request(&self, method: &str, params: Value) -> Answer {
        let at: At = match method {
            "textDocument/hover"
            | "textDocument/completion"
            | "textDocument/signatureHelp"
            | "textDocument/formatting"
            | "textDocument/definition" => {
                serde_json::from_value(params).map_err(|e| (-32602, e.to_string()))?
            }
            _ => return Err((-32601, format!("there is no method {method}"))),
        };
        let Some(d) = self.documents.get(at.text_document.uri.as_str()) else { return Ok(Value::Null) };
        let position = at.position.unwrap_or_default();
        Ok(match method {
            "textDocument/hover" => json!(d.hover(position)),
            "textDocument/completion" => json!(d.completion(position)),
            "textDocument/signatureHelp" => json!(d.signature(position)),
            "textDocument/formatting" => json!(d.formatted()),
            _ => json!(d.definition(position)),
        })
    }

    /// Takes a notification in; the notifications that follow.
    pub fn notification(&mut self, method: &str, params: Value) -> Vec<(String, Value)> {
        match method {
            "textDocument/didOpen" => match serde_json::from_value::<Opened>(params) {
                Ok(o) => self.changed(o.text_document.uri, o.text_document.text),
                Err(_) => Vec::new(),
            },
            "textDocument/didChange" => match serde_json::from_value::<Changed>(params) {
                Ok(Changed { text_document, mut content_changes }) => match content_changes.pop() {
                    Some(last) => self.changed(text_document.uri, last.text),
                    None => Vec::new(),
                },
                Err(_) => Vec::new(),
            },
            "textDocument/didClose" => match serde_json::from_value::<At>(params) {
                Ok(at) => {
                    self.documents.remove(at.text_document.uri.as_str());
                    published(&at.text_document.uri, &json!([]))
                }
                Err(_) => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn changed(&mut self, uri: Uri, text: String) -> Vec<(String, Value)> {
        if text.len() > LARGEST {
            self.documents.remove(uri.as_str());
            return Vec::new();
        }
        let document = Document::new(uri.clone(), text);
        let diagnostics = json!(document.diagnostics());
        self.documents.insert(uri.as_str().to_string(), document);
        published(&uri, &diagnostics)
    }
}

fn published(uri: &Uri, diagnostics: &Value) -> Vec<(String, Value)> {
    let params = json!({"uri": uri.as_str(), "diagnostics": diagnostics});
    vec![("textDocument/publishDiagnostics".into(), params)]
}
