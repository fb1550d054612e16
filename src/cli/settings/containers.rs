//! Agents that are programs in containers, and servers of tools: tables and values of `orderflow.toml`.

use super::read::{Item, Reader};
use super::{Engine, McpServer, Reach};
use toml::de::DeValue;

pub(super) const KEYS: [&str; 4] = ["image", "command", "network", "engine"];

impl Reader {
    /// `{ image = "…", command = […] }`.
    pub(super) fn container(&mut self, value: &Item<'_>) -> Option<Reach> {
        let Some(table) = value.get_ref().as_table() else {
            let expected =
                "a table such as { image = \"python:3.13\", command = [\"python3\", \"/pay.py\"] }";
            return self.bad("container", value, expected);
        };
        let (mut image, mut command, mut network, mut engine) = (None, Vec::new(), false, None);
        let mut is_complete = true;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "image" => {
                    let expected = "the name of an image, such as \"python:3.13\"";
                    let name = value.get_ref().as_str();
                    // The engine would take another text for an option.
                    let name = name.filter(|name| !name.is_empty() && !name.starts_with('-'));
                    image = name.map(str::to_owned).or_else(|| self.bad("image", value, expected));
                    is_complete &= image.is_some();
                }
                "command" => command = self.program("command", value),
                "network" => network = self.flag("network", value).unwrap_or(false),
                "engine" => {
                    let name = value.get_ref().as_str();
                    engine = Engine::ALL.into_iter().find(|engine| name == Some(engine.name()));
                    if engine.is_none() {
                        self.bad::<()>("engine", value, "\"docker\" or \"podman\"");
                    }
                }
                _ => self.unknown(key, &KEYS),
            }
        }
        if image.is_none() && is_complete {
            self.bad::<()>(
                "container",
                value,
                "a table with an `image`, such as { image = \"python:3.13\" }",
            );
        }
        Some(Reach::Container { image: image?, command, network, engine })
    }

    /// The command of an MCP server, or its address.
    pub(super) fn server(&mut self, value: &Item<'_>) -> Option<Reach> {
        let server = match value.get_ref() {
            DeValue::Array(_) => McpServer::Program(self.program("mcp", value)),
            DeValue::String(text) => match self.url("mcp", value) {
                Some(url) => McpServer::Http { url, headers: Vec::new() },
                None => {
                    if !text.contains("://") {
                        self.show_list("mcp", value);
                    }
                    return None;
                }
            },
            _ => {
                let expected = "a list that begins with a program, or the address of a server";
                return self.bad("mcp", value, expected);
            }
        };
        Some(Reach::Mcp { server, tool: None })
    }
}
