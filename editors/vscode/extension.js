// Starts `lpz lsp` and connects it to the editor.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

function activate() {
  const command = workspace.getConfiguration("lpz").get("path", "lpz");
  const server = { command, args: ["lsp"] };
  client = new LanguageClient("lpz", "lpz", server, { documentSelector: [{ language: "lpz" }] });
  return client.start();
}

function deactivate() {
  return client && client.stop();
}

module.exports = { activate, deactivate };
