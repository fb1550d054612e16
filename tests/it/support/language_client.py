"""The language server with pygls as its client, in a folder with order-processing.md and orderflow.toml."""

import asyncio
import os
import pathlib

import pytest
import pytest_lsp
from lsprotocol import types as t
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities


@pytest_lsp.fixture(config=ClientServerConfig(server_command=[os.environ["ORDERFLOW"], "lsp"]))
async def client(lsp_client: LanguageClient):
    folder = pathlib.Path.cwd().as_uri()
    workspace = [t.WorkspaceFolder(uri=folder, name="shop")]
    params = t.InitializeParams(capabilities=client_capabilities("visual-studio-code"), workspace_folders=workspace)
    await lsp_client.initialize_session(params)
    yield
    await lsp_client.shutdown_session()


def document():
    path = pathlib.Path("order-processing.md").resolve()
    return t.TextDocumentIdentifier(uri=path.as_uri()), path.read_text()


def place(text, word, nth=0):
    at = -1
    for _ in range(nth + 1):
        at = text.index(word, at + 1)
    line = text.count("\n", 0, at)
    before = text[text.rfind("\n", 0, at) + 1 : at]
    return t.Position(line=line, character=len(before.encode("utf-16-le")) // 2 + 1)


async def opened(client):
    identifier, text = document()
    item = t.TextDocumentItem(uri=identifier.uri, language_id="markdown", version=1, text=text)
    client.text_document_did_open(t.DidOpenTextDocumentParams(text_document=item))
    await client.wait_for_notification("textDocument/publishDiagnostics")
    return identifier, text


@pytest.mark.asyncio
async def test_problems(client):
    identifier, text = await opened(client)
    assert not client.diagnostics[identifier.uri]
    change = t.TextDocumentContentChangeWholeDocument(text=text.replace("[retry:: ", "[retry:: x", 1))
    versioned = t.VersionedTextDocumentIdentifier(uri=identifier.uri, version=2)
    client.text_document_did_change(
        t.DidChangeTextDocumentParams(text_document=versioned, content_changes=[change])
    )
    await client.wait_for_notification("textDocument/publishDiagnostics")
    assert "bad-retry" in [problem.code for problem in client.diagnostics[identifier.uri]]


@pytest.mark.asyncio
async def test_outline_hover_and_places(client):
    identifier, text = await opened(client)
    symbols = await client.text_document_document_symbol_async(t.DocumentSymbolParams(text_document=identifier))
    assert symbols and all(isinstance(symbol, t.DocumentSymbol) for symbol in symbols)
    title = symbols[0].children[0] if symbols[0].children else symbols[0]
    at = title.selection_range.start
    hover = await client.text_document_hover_async(t.HoverParams(text_document=identifier, position=at))
    assert title.name in hover.contents.value
    here = {"text_document": identifier, "position": at}
    [definition] = await client.text_document_definition_async(t.DefinitionParams(**here))
    assert definition.range == title.selection_range
    context = t.ReferenceContext(include_declaration=True)
    assert await client.text_document_references_async(t.ReferenceParams(context=context, **here))
    assert await client.text_document_prepare_rename_async(t.PrepareRenameParams(**here))
    edit = await client.text_document_rename_async(t.RenameParams(new_name="Another Title", **here))
    assert edit.changes[identifier.uri]


@pytest.mark.asyncio
async def test_writing(client):
    identifier, text = await opened(client)
    at = place(text, "@")
    params = t.CompletionParams(text_document=identifier, position=at)
    items = await client.text_document_completion_async(params)
    assert items and all(isinstance(item, t.CompletionItem) for item in items)
    whole = t.Range(start=t.Position(0, 0), end=t.Position(9999, 0))
    context = t.CodeActionContext(diagnostics=[])
    params = t.CodeActionParams(text_document=identifier, range=whole, context=context)
    assert not await client.text_document_code_action_async(params)
    params = t.SemanticTokensParams(text_document=identifier)
    tokens = await client.text_document_semantic_tokens_full_async(params)
    assert len(tokens.data) > 50 and len(tokens.data) % 5 == 0


@pytest.mark.asyncio
async def test_lenses(client):
    identifier, text = await opened(client)
    lenses = await client.text_document_code_lens_async(t.CodeLensParams(text_document=identifier))
    assert [lens.command.title for lens in lenses] == ["Run", "Run with stubs", "Open the last failure"]
