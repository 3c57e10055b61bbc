//! `lpz lsp`: the language server on standard input and output.

use super::Global;
use super::error::CliError;
use crate::lsp::Server;
use clap::Args;
use lsp_server::{Connection, Message, Notification, Response};
use serde_json::json;
use std::process::ExitCode;

/// Serve editors: diagnostics, hover, completion, formatting, definitions
#[derive(Args, Debug)]
#[command(after_help = "Example: editors start `lpz lsp`; see editors/vscode")]
pub struct LspArgs {
    /// Accepted, for editors that pass it; standard input and output are always used
    #[arg(long)]
    stdio: bool,
}

/// Runs the command.
///
/// # Errors
/// When the editor breaks the protocol.
pub fn run(_: &LspArgs, _: &Global) -> Result<ExitCode, CliError> {
    let (connection, threads) = Connection::stdio();
    let failed = |e: &dyn std::fmt::Display| CliError::new(format!("language server: {e}"));
    let (id, _) = connection.initialize_start().map_err(|e| failed(&e))?;
    let hello = json!({
        "capabilities": Server::capabilities(),
        "serverInfo": {"name": "lpz", "version": env!("CARGO_PKG_VERSION")},
    });
    connection.initialize_finish(id, hello).map_err(|e| failed(&e))?;
    serve(&connection).map_err(|e| failed(&e))?;
    drop(connection);
    threads.join().map_err(|e| failed(&e))?;
    Ok(ExitCode::SUCCESS)
}

type Served = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn serve(connection: &Connection) -> Served {
    let mut server = Server::default();
    for message in &connection.receiver {
        match message {
            Message::Request(request) => {
                if connection.handle_shutdown(&request)? {
                    return Ok(());
                }
                let response = match server.request(&request.method, request.params) {
                    Ok(value) => Response::new_ok(request.id, value),
                    Err((code, message)) => Response::new_err(request.id, code, message),
                };
                connection.sender.send(Message::Response(response))?;
            }
            Message::Notification(n) => {
                for (method, params) in server.notification(&n.method, n.params) {
                    connection.sender.send(Message::Notification(Notification::new(method, params)))?;
                }
            }
            Message::Response(_) => {}
        }
    }
    Ok(())
}
