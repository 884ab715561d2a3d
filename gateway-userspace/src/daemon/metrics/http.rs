//! The HTTP server: two pages, for clients that may be slow or hostile.

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, error, info, warn};

use super::page::Format;

/// Connections at a time on one address; further ones wait in the kernel.
const CONNECTIONS_MAX: usize = 16;
/// How long a client may take to say what it wants.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may last, which serves one request.
const CONNECTION_WITHIN: Duration = Duration::from_secs(10);
/// What a request may take, in bytes.
const REQUEST_BYTES_MAX: usize = 8 * 1_024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// How long to wait before the first new attempt to listen; the next wait is twice as long.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest such wait.
const RETRY_MAX: Duration = Duration::from_mins(1);
/// How long to wait when a connection cannot be accepted, for instance for want of descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

const INDEX: &str =
    "<!doctype html><title>eigw</title><h1>eigw</h1><p><a href=\"/metrics\">metrics</a>\n";

/// Listens on an address until this is dropped, however often that fails, and answers with what
/// `page` gives.
pub(super) async fn serve<P, F>(address: SocketAddr, page: P)
where
    P: Fn(Format) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = anyhow::Result<String>> + Send + 'static,
{
    let mut rest = RETRY_MIN;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) => {
                let retry_secs = rest.as_secs();
                error!(%address, retry_secs, "cannot listen for requests for metrics: {error}");
            }
        }
        sleep(rest).await;
        rest = (rest * 2).min(RETRY_MAX);
    };
    // The kernel may have chosen the port.
    let address = listener.local_addr().unwrap_or(address);
    info!(%address, "metrics at http://{address}/metrics");
    accept(&listener, page).await;
}

async fn accept<P, F>(listener: &TcpListener, page: P)
where
    P: Fn(Format) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = anyhow::Result<String>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let page = page.clone();
                connections.spawn(async move {
                    answer(stream, page).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!("cannot accept a connection for metrics: {error}");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Serves one request.
async fn answer<P, F>(stream: TcpStream, page: P)
where
    P: Fn(Format) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = anyhow::Result<String>> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let page = page.clone();
        async move {
            let (head, _) = request.into_parts();
            Ok::<_, Infallible>(respond(&head.method, head.uri.path(), &head.headers, page).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(REQUEST_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_WITHIN, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("a request for metrics went wrong: {error}"),
        Err(_) => debug!("a request for metrics took too long"),
    }
}

async fn respond<P, F>(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    page: P,
) -> Response<Full<Bytes>>
where
    P: Fn(Format) -> F,
    F: Future<Output = anyhow::Result<String>>,
{
    const PLAIN: &str = "text/plain; charset=utf-8";
    if *method != Method::GET && *method != Method::HEAD {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/" => response(StatusCode::OK, "text/html; charset=utf-8", INDEX),
        "/metrics" => {
            let accepted = headers.get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
            let format = wanted(accepted);
            match page(format).await {
                Ok(text) => response(StatusCode::OK, format.content_type(), text),
                Err(error) => {
                    error!("cannot tell metrics: {error:#}");
                    response(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, "see the log of eigw\n")
                }
            }
        }
        _ => response(StatusCode::NOT_FOUND, PLAIN, "metrics are at /metrics\n"),
    }
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The format that a client likes best. Who does not ask for `OpenMetrics` by name gets what
/// everything understands.
fn wanted<'a>(accepted: impl Iterator<Item = &'a str>) -> Format {
    let (mut open_metrics, mut text) = (0.0, 0.0);
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        match kind.as_str() {
            "application/openmetrics-text" => open_metrics = f32::max(open_metrics, quality),
            "text/plain" => text = f32::max(text, quality),
            _ => {}
        }
    }
    if open_metrics > 0.0 && open_metrics >= text { Format::OpenMetrics } else { Format::Text }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn the_client_chooses_the_format() {
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html,*/*;q=0.8", Format::Text),
            ("application/openmetrics-text; version=1.0.0", Format::OpenMetrics),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.7", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            (
                "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
        ] {
            assert_eq!(wanted([accept].into_iter()), format, "{accept}");
        }
    }

    #[tokio::test]
    async fn two_pages_and_nothing_else() {
        for (request, status, body) in [
            ("GET /metrics HTTP/1.1", "200 OK", "page Text"),
            ("HEAD /metrics HTTP/1.1", "200 OK", ""),
            ("GET / HTTP/1.1", "200 OK", INDEX),
            ("GET /other HTTP/1.1", "404 Not Found", "metrics are at /metrics\n"),
            ("POST /metrics HTTP/1.1", "405 Method Not Allowed", "only GET and HEAD\n"),
        ] {
            let said = say(&format!("{request}\r\nHost: eigw\r\n\r\n")).await;
            let (head, found) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{said}"));
            assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {head}");
            assert_eq!(found, body, "{request}");
        }
    }

    #[tokio::test]
    async fn too_much_is_refused() {
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(REQUEST_BYTES_MAX));
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(HEADERS_MAX + 1));
        for request in [long, many, "nonsense\r\n\r\n".to_owned()] {
            let said = say(&request).await;
            assert!(said.starts_with("HTTP/1.1 4") || said.is_empty(), "{said}");
        }
    }

    /// Those who say nothing are sent away, and do not keep others from being served for longer.
    #[tokio::test(start_paused = true)]
    async fn silence_does_not_last() {
        let address = listening().await;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.expect("it listens"));
        }
        let said = exchange(address, "GET /metrics HTTP/1.1\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        for mut stream in silent {
            let mut said = Vec::new();
            // Whatever is said, the connection ends.
            drop(stream.read_to_end(&mut said).await);
        }
    }

    async fn say(request: &str) -> String {
        exchange(listening().await, request).await
    }

    async fn listening() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            accept(&listener, |format| async move { Ok(format!("page {format:?}")) }).await;
        });
        address
    }

    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut said = Vec::new();
        // A server that refuses may reset the connection after its answer.
        drop(stream.read_to_end(&mut said).await);
        String::from_utf8(said).expect("text")
    }
}
