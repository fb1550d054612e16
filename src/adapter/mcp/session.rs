//! A conversation with an MCP server: the only file that speaks through rmcp, which is released weekly. Does not know
//! what calls and answers mean for a step.

use super::super::LiveWords;
use super::super::contract;
use super::super::http::{self, Client, HeaderName, HeaderValue, Url};
use super::super::question::{AskedValue, PersonReply, Questions};
use super::log::{Log, Recorded};
use super::pipe::Pipe;
use super::stream::{Checked, UNFIT, retries, too_large};
use crate::event::{Cause, Failure, Outcome, UNAVAILABLE};
use crate::value::{Object, Value};
use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CancelledNotification, CancelledNotificationParam,
    ClientCapabilities, ClientConfig, ClientRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationCapability, ElicitationSchema, ErrorData, FormElicitationCapability, Implementation,
    InputRequest, InputRequiredResult, InputResponses, MetaObject, PaginatedRequestParams, ProtocolVersion,
    RequestMetaObject, ServerResult,
};
use rmcp::service::{
    ClientCacheConfig, ClientInitializeError, ClientLifecycleMode, PeerRequestOptions, RequestContext,
    RequestHandle, RoleClient, RunningService, ServiceError, serve_client_with_lifecycle,
};
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig, StreamableHttpError,
};
use rmcp::transport::{DynamicTransportError, Transport};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// How often a server may ask something before it answers.
const ROUNDS: usize = 10;

/// The most pages of a list of tools.
const PAGES: usize = 1000;

/// The key under which servers of 2026 are asked for their log.
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// The most calls of one HTTP server at a time that wait for the beginning of their answer.
const POSTS: usize = 1000;

/// An open conversation; it is closed when this is dropped.
pub struct Session {
    service: RunningService<RoleClient, Orderflow>,
    log: Arc<Log>,
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Greeting {
    pub name: Option<String>,
    pub version: Option<String>,
    /// Of the protocol, such as `2025-11-25`.
    pub protocol: String,
}

/// A tool of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    /// The JSON Schema of its arguments.
    pub input: Value,
}

/// Why a conversation has no answer.
pub enum Lost {
    /// The server's error, by its code.
    Error {
        code: i64,
        message: String,
    },
    /// The request was never sent.
    NeverSent,
    /// The connection ended after the request.
    Gone,
    /// The failure of a request over HTTP.
    Failed(Box<Failure>),
    /// The answer is not one to a call of a tool.
    Strange(String),
    Cancelled,
}

/// A call without a result.
pub struct Unanswered {
    pub lost: Lost,
    /// The last one of the call.
    pub progress: String,
    /// The server has asked something, so it had begun to work.
    pub begun: bool,
}

/// The side of orderflow: it offers nothing but to be asked.
struct Orderflow {
    log: Arc<Log>,
}

impl ClientHandler for Orderflow {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation =
            Some(ElicitationCapability::new().with_form(FormElicitationCapability::default()));
        ClientConfig::new(capabilities, Implementation::new("orderflow", env!("CARGO_PKG_VERSION")))
    }

    async fn create_elicitation(
        &self,
        question: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let questions = self.log.questions().await;
        if !questions.is_open() {
            self.log.answered(&question, "declined");
            return Ok(ElicitResult::new(ElicitationAction::Decline));
        }
        Ok(put(&question, &questions, &self.log).await)
    }
}

impl Session {
    /// Begins a conversation with a server's process.
    ///
    /// # Errors
    /// Why the server cannot be talked to.
    pub async fn over_pipe(pipe: Pipe, log: Arc<Log>) -> Result<Session, Lost> {
        Session::begin(pipe, log, None).await
    }

    /// Begins a conversation with a server at an address. Messages have these headers.
    ///
    /// # Errors
    /// Why the server cannot be talked to.
    pub async fn over_http(
        client: &Client,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        log: Arc<Log>,
    ) -> Result<Session, Lost> {
        let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
            .custom_headers(headers.iter().cloned().collect())
            .max_concurrent_requests(POSTS)
            .max_json_response_size(contract::LARGEST + 64 * 1024)
            .max_sse_event_size(contract::LARGEST + 64 * 1024);
        config.retry_config = Arc::new(retries());
        let begun = async {
            let transport = StreamableHttpClientTransport::with_client(Checked(client.inner()), config);
            Session::begin(transport, log, Some(url)).await
        };
        client.within(begun).await
    }

    async fn begin<T>(inner: T, log: Arc<Log>, url: Option<&Url>) -> Result<Session, Lost>
    where
        T: Transport<RoleClient> + 'static,
        T::Error: Error + Send + Sync + 'static,
    {
        let lifecycle = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        };
        let transport = Recorded { inner, log: log.clone(), began: None };
        match serve_client_with_lifecycle(Orderflow { log: log.clone() }, transport, lifecycle).await {
            Ok(service) => {
                // A list of tools that the server gave once says neither what it has now nor that it still answers.
                service.peer().set_response_cache_config(ClientCacheConfig::disabled()).await;
                let session = Session { service, log };
                let protocol = session.greeting().protocol;
                if !ProtocolVersion::KNOWN_VERSIONS.iter().any(|known| known.as_str() == protocol) {
                    return Err(Lost::Strange(format!(
                        "it speaks the version `{protocol}` of MCP, which is not known"
                    )));
                }
                Ok(session)
            }
            Err(error) => Err(refused(error, url)),
        }
    }

    /// What the server says of itself.
    pub fn greeting(&self) -> Greeting {
        let info = self.service.peer().peer_info();
        let server = info.as_ref().and_then(|info| info.server_info.as_ref());
        Greeting {
            name: server.map(|server| server.name.clone()),
            version: server.map(|server| server.version.clone()),
            protocol: info.as_ref().map_or_else(String::new, |info| info.protocol_version.to_string()),
        }
    }

    pub fn is_closed(&self) -> bool {
        self.service.is_closed() || self.service.peer().is_transport_closed()
    }

    /// All tools of the server.
    ///
    /// # Errors
    /// Why it does not list them.
    pub async fn tools(&self, url: Option<&Url>) -> Result<Vec<Tool>, Lost> {
        let (mut tools, mut next) = (Vec::new(), None);
        for page in 0.. {
            if page == PAGES {
                return Err(Lost::Strange(format!("its list of tools has more than {PAGES} pages")));
            }
            let asked = PaginatedRequestParams::default().with_cursor(next);
            let listed =
                self.service.peer().list_tools(Some(asked)).await.map_err(|error| lost(error, url))?;
            tools.extend(listed.tools);
            next = listed.next_cursor;
            if next.is_none() {
                break;
            }
        }
        let tool = |tool: rmcp::model::Tool| Tool {
            name: tool.name.into_owned(),
            input: Value::Object((*tool.input_schema).clone()),
        };
        Ok(tools.into_iter().map(tool).collect())
    }

    /// Calls a tool, whose progress is `live` and whose questions go to `questions`; dropping this cancels the call.
    ///
    /// # Errors
    /// Why it has no result.
    pub async fn call(
        &self,
        tool: &str,
        arguments: Object,
        meta: Object,
        url: Option<&Url>,
        (live, questions): (&LiveWords, &Questions),
    ) -> Result<(Value, String), Unanswered> {
        let mut params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        for round in 0..ROUNDS {
            let begun = round > 0;
            let (result, progress) = self.ask(params.clone(), &meta, url, (live, questions)).await;
            let lost = |lost: Lost| Err(Unanswered { lost, progress: progress.clone(), begun });
            let strange = |why: &str| lost(Lost::Strange(why.to_owned()));
            match result {
                Ok(ServerResult::InputRequiredResult(asked)) => match self.put_all(&asked, questions).await {
                    Some(answers) => {
                        params.input_responses = Some(answers);
                        params.request_state = asked.request_state;
                    }
                    None => return strange("it asks for more than a person's answer"),
                },
                Ok(ServerResult::CreateTaskResult(_)) => return strange("it is a task, which takes longer"),
                Ok(result) => match serde_json::to_value(&result) {
                    Ok(value) => return Ok((value, progress)),
                    Err(error) => return strange(&error.to_string()),
                },
                // The server has the earlier rounds.
                Err(Lost::NeverSent) if begun => return lost(Lost::Gone),
                Err(error) => return lost(error),
            }
        }
        let lost = Lost::Strange(format!("it asked {ROUNDS} times"));
        Err(Unanswered { lost, progress: String::new(), begun: true })
    }

    /// Sends one request and waits for its result; the last progress is beside it.
    async fn ask(
        &self,
        params: CallToolRequestParams,
        meta: &Object,
        url: Option<&Url>,
        (live, questions): (&LiveWords, &Questions),
    ) -> (Result<ServerResult, Lost>, String) {
        let mut meta = RequestMetaObject(MetaObject(meta.clone()));
        meta.0.0.insert(LOG_LEVEL.into(), "info".into());
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let options = PeerRequestOptions::no_options().with_meta(meta);
        let asked = match self.service.peer().send_request_with_option(request, options).await {
            Ok(handle) => handle,
            Err(ServiceError::TransportClosed) => return (Err(Lost::NeverSent), String::new()),
            Err(error) => return (Err(lost(error, url)), String::new()),
        };
        self.log.show(asked.progress_token.clone(), live.clone(), questions.clone());
        let mut asked = Asked { handle: Some(asked), log: &self.log };
        let result = match &mut asked.handle {
            Some(handle) => (&mut handle.rx).await.unwrap_or(Err(ServiceError::TransportClosed)),
            None => Err(ServiceError::TransportClosed),
        };
        let progress = asked.handle.take().and_then(|handle| self.log.end(&handle.progress_token));
        let result = result.map_err(|error| match error {
            // The conversation ended while the request waited to be sent.
            ServiceError::TransportClosed if progress.is_none() => Lost::NeverSent,
            error => lost(error, url),
        });
        (result, progress.unwrap_or_default())
    }

    /// The answers to a server's questions. `None` if it asks for something else.
    async fn put_all(&self, asked: &InputRequiredResult, questions: &Questions) -> Option<InputResponses> {
        let mut answers = InputResponses::default();
        for (key, request) in asked.input_requests.as_ref()? {
            let InputRequest::Elicitation(request) = request else { return None };
            let answer = put(&request.params, questions, &self.log).await;
            answers.insert(key.clone(), serde_json::to_value(answer).ok()?);
        }
        Some(answers)
    }
}

/// Asks a person what a server asks. What cannot be asked in a terminal is declined, and so is everything without a
/// person.
async fn put(question: &ElicitRequestParams, questions: &Questions, log: &Log) -> ElicitResult {
    let reply = match question {
        ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
            questions.ask(message, asked_values(requested_schema)).await.ok()
        }
        _ => None,
    };
    let by = reply.as_ref().map(PersonReply::said).unwrap_or_default();
    if let (Some(reply), ElicitRequestParams::FormElicitationParams { message, .. }) = (&reply, question) {
        let how = if reply.agrees { "answered" } else { "declined" };
        questions.record(&format!("{message}: {how}{by}"));
    }
    match reply.filter(|reply| reply.agrees) {
        Some(reply) => {
            log.answered(question, &format!("answered{by}"));
            ElicitResult::new(ElicitationAction::Accept).with_content(Value::Object(reply.values))
        }
        None => {
            log.answered(question, &format!("declined{by}"));
            ElicitResult::new(ElicitationAction::Decline)
        }
    }
}

/// The values that a form asks for, in its order.
fn asked_values(form: &ElicitationSchema) -> Vec<AskedValue> {
    let mut names: Vec<&String> = form.properties.keys().collect();
    if let Some(order) = &form.property_order {
        names.sort_by_key(|name| order.iter().position(|other| other == *name));
    }
    let required = form.required.as_deref().unwrap_or_default();
    let asked = |name: &String| AskedValue {
        name: name.clone(),
        schema: form
            .properties
            .get(name)
            .and_then(|schema| serde_json::to_value(schema).ok())
            .unwrap_or_default(),
        required: required.contains(name),
    };
    names.into_iter().map(asked).collect()
}

/// A request in flight. If it is dropped, the server is asked to end it.
struct Asked<'a> {
    handle: Option<RequestHandle<RoleClient>>,
    log: &'a Log,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        self.log.end(&handle.progress_token);
        let peer = handle.peer.clone();
        let reason = "the attempt was stopped".to_owned();
        let params = CancelledNotificationParam::new(Some(handle.id.clone()), Some(reason));
        tokio::spawn(async move {
            // Without a connection there is nothing to cancel.
            let _ = peer.send_notification(CancelledNotification::new(params).into()).await;
        });
    }
}

/// Why a conversation did not begin.
fn refused(error: ClientInitializeError, url: Option<&Url>) -> Lost {
    match error {
        ClientInitializeError::ConnectionClosed(_) => Lost::Gone,
        ClientInitializeError::TransportError { error, .. } => transport(&error, url),
        ClientInitializeError::JsonRpcError(error) => reported(error),
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => refused(*fallback, url),
        ClientInitializeError::NoCompatibleProtocolVersion { server_supported, .. } => {
            let versions: Vec<String> = server_supported.iter().map(ToString::to_string).collect();
            Lost::Strange(format!("it speaks only other versions of MCP: {}", versions.join(", ")))
        }
        other => Lost::Strange(first_line(&other.to_string())),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

/// The error of a server, or one that `stream` made in its place.
fn reported(error: ErrorData) -> Lost {
    let message = error.message.into_owned();
    match error.code {
        UNFIT => Lost::Failed(contract::bad(message)),
        code => Lost::Error { code: code.0.into(), message },
    }
}

fn lost(error: ServiceError, url: Option<&Url>) -> Lost {
    match error {
        ServiceError::McpError(error) => reported(error),
        ServiceError::TransportSend(error) => transport(&error, url),
        ServiceError::TransportClosed => Lost::Gone,
        ServiceError::Cancelled { .. } => Lost::Cancelled,
        other => Lost::Strange(first_line(&other.to_string())),
    }
}

/// What became of a request that could not be sent, or whose response was no message.
fn transport(error: &DynamicTransportError, url: Option<&Url>) -> Lost {
    let Some(url) = url else { return Lost::NeverSent };
    let mut cause: Option<&(dyn Error + 'static)> = Some(error.error.as_ref());
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
            return Lost::Failed(over_http(error, url));
        }
        cause = error.source();
    }
    Lost::Gone
}

fn over_http(error: &StreamableHttpError<reqwest::Error>, url: &Url) -> Box<Failure> {
    use StreamableHttpError as Is;
    let refused = |status: u16, pause: Option<Duration>| {
        let (outcome, retryable) = match status {
            closed if contract::CLOSED.contains(&closed) => (Outcome::NotExecuted, false),
            408 | 425 | 429 => (Outcome::NotExecuted, true),
            300..=499 => (Outcome::Failed, false),
            _ => (Outcome::Unknown, true),
        };
        let named =
            reqwest::StatusCode::from_u16(status).map_or(status.to_string(), |status| status.to_string());
        let message = format!("the server answered {named}");
        let mut failure = contract::failure(Cause::Refused, message, outcome, retryable);
        failure.code = Some(status.to_string());
        failure.retry_after_ms = pause.filter(|_| retryable).map(http::milliseconds);
        if contract::CLOSED.contains(&status) {
            (failure.unavailable, failure.code) = (true, Some(UNAVAILABLE.to_owned()));
        }
        failure
    };
    match error {
        Is::Client(error) => match error.status() {
            Some(status) => refused(status.as_u16(), None),
            None => http::lost(url, error),
        },
        Is::HttpStatus(error) => {
            let seconds = error.retry_after.as_deref().and_then(|text| text.trim().parse().ok());
            refused(error.status, seconds.map(Duration::from_secs))
        }
        Is::AuthRequired(_) => refused(401, None),
        Is::InsufficientScope(_) => refused(403, None),
        Is::ResponseBodyTooLarge { .. } => contract::bad(too_large()),
        Is::UnexpectedServerResponse(text) => match status(text) {
            Some(status) => refused(status, None),
            None => contract::bad("the server's answer is not a JSON-RPC 2.0 message".to_owned()),
        },
        Is::UnexpectedContentType(kind) => {
            let kind = kind.as_deref().unwrap_or("no type");
            contract::bad(format!("the server's answer is {kind}, not JSON"))
        }
        other => contract::failure(
            Cause::Protocol,
            format!("no answer from the server: {}", first_line(&other.to_string())),
            Outcome::Unknown,
            true,
        ),
    }
}

/// The status in `HTTP 404 Not Found: …`, as which rmcp reports responses that are not messages.
fn status(text: &str) -> Option<u16> {
    text.strip_prefix("HTTP ")?.get(..3)?.parse().ok()
}
