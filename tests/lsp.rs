//! The language server over standard input and output.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    next: i64,
}

impl Client {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lpz"))
            .arg("lsp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut client = Client { child, input, output, next: 0 };
        let hello = client.request("initialize", json!({"capabilities": {}}));
        assert_eq!(hello["capabilities"]["hoverProvider"], json!(true));
        client.notify("initialized", json!({}));
        client
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        self.input.flush().unwrap();
    }

    fn read(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            match line.trim().strip_prefix("Content-Length: ") {
                Some(n) => length = n.parse().unwrap(),
                None if line.trim().is_empty() => break,
                None => {}
            }
        }
        let mut bytes = vec![0; length];
        self.output.read_exact(&mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    fn answer(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let message = self.read();
            if message["id"] == json!(id) {
                return message;
            }
        }
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        self.answer(method, params)["result"].clone()
    }

    fn open(&mut self, uri: &str, text: &str) -> Value {
        let document = json!({"uri": uri, "languageId": "lpz", "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
        self.read()["params"]["diagnostics"].clone()
    }

    fn at(&mut self, method: &str, uri: &str, line: u32, character: u32) -> Value {
        let position = json!({"line": line, "character": character});
        self.request(
            &format!("textDocument/{method}"),
            json!({"textDocument": {"uri": uri}, "position": position}),
        )
    }

    fn end(mut self) {
        self.request("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn an_editing_session() {
    let mut c = Client::start();
    let uri = "file:///nowhere/a%20b.lpz";
    let wrong = c.open(uri, "proxy p = sum l in linear { sum(l.wieght) }\n");
    assert_eq!(wrong[0]["code"], json!("E018"), "{wrong}");
    assert!(wrong[0]["message"].as_str().unwrap().contains("did you mean `weight`?"), "{wrong}");
    assert_eq!(wrong[0]["range"]["start"], json!({"line": 0, "character": 34}));

    let text = "use std::slog\n/// Half of it.\nfn half(x) = x / 2\nproxy p = sum l in linear { half(slog(sum(l.weight))) }\n";
    c.notify(
        "textDocument/didChange",
        json!({"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{"text": text}]}),
    );
    let right = c.read();
    assert_eq!(right["params"]["diagnostics"], json!([]), "{right}");

    let hover = c.at("hover", uri, 3, 45).to_string();
    assert!(hover.contains("x.weight") && hover.contains("tensor [_, _]"), "{hover}");
    let hover = c.at("hover", uri, 3, 30).to_string();
    assert!(hover.contains("Half of it") && hover.contains("type: number"), "{hover}");
    let hover = c.at("hover", uri, 3, 39).to_string();
    assert!(hover.contains("sum(x"), "{hover}");

    let half = c.at("definition", uri, 3, 30);
    assert_eq!(half["range"]["start"], json!({"line": 2, "character": 3}), "{half}");
    let slog = c.at("definition", uri, 3, 35);
    assert!(slog["uri"].as_str().unwrap().ends_with(".lpz") && slog["uri"] != json!(uri), "{slog}");
    let local = c.at("definition", uri, 3, 42);
    assert_eq!(local["range"]["start"], json!({"line": 3, "character": 14}), "{local}");

    let fields = c.at("completion", uri, 3, 44).to_string();
    assert!(fields.contains("\"grad\"") && fields.contains("\"weight\""), "{fields}");
    let help = c.at("signatureHelp", uri, 3, 33).to_string();
    assert!(help.contains("half(x)"), "{help}");
    c.end();
}

#[test]
fn formats_and_survives_nonsense() {
    let mut c = Client::start();
    let uri = "untitled:1";
    c.open(uri, "proxy   p=1+2\n");
    let edits = c.request(
        "textDocument/formatting",
        json!({"textDocument": {"uri": uri}, "options": {"tabSize": 2, "insertSpaces": true}}),
    );
    assert_eq!(edits[0]["newText"], json!("proxy p = 1 + 2\n"), "{edits}");
    let unknown = c.answer("textDocument/nonsense", json!({}));
    assert_eq!(unknown["error"]["code"], json!(-32601), "{unknown}");
    let broken = c.answer("textDocument/hover", json!({"textDocument": 3}));
    assert_eq!(broken["error"]["code"], json!(-32602), "{broken}");
    let text = format!("proxy é = {}\n\u{1F600} \0 (((", "(".repeat(10_000));
    let wrong = c.open("untitled:2", &text);
    assert!(!wrong.as_array().unwrap().is_empty());
    for (line, character) in [(0, 0), (0, 9_000), (1, 1), (7, 7)] {
        for method in ["hover", "completion", "definition", "signatureHelp"] {
            c.at(method, "untitled:2", line, character);
        }
    }
    assert_eq!(c.at("hover", "untitled:none", 0, 0), Value::Null);
    c.end();
}
