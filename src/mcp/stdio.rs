//! One client over standard input and output: a message a line. A line that is none is answered, as
//! JSON-RPC wants it; rmcp alone passes over it in silence, and its sender waits.

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::service::{ServerInitializeError, serve_server};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::{Server, message};
use crate::error::{Error, Result};

/// Messages that wait on either side.
const ROOM: usize = 64;

/// Serves one client over standard input and output until it goes away.
pub async fn serve(server: Server, cancel: CancellationToken) -> Result<()> {
    let (out, lines) = mpsc::channel(ROOM);
    let (inbox, messages) = mpsc::channel(ROOM);
    let writing = tokio::spawn(write(lines));
    let reading = tokio::spawn(read(inbox, out.clone()));
    let answers = out.with(async |message: ServerJsonRpcMessage| {
        let line = serde_json::to_string(&message);
        Ok::<_, mpsc::SendError>(line.unwrap_or_default())
    });
    let served = converse(server, (Box::pin(answers), messages), cancel).await;
    reading.abort();
    // Nobody writes any more; what was written is read by the client.
    writing.await.ok();
    served
}

async fn converse<T, E, A>(server: Server, transport: T, cancel: CancellationToken) -> Result<()>
where
    T: rmcp::transport::IntoTransport<rmcp::RoleServer, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let failed = |what: String| Error::internal("the MCP session ended badly").because(what);
    let running = tokio::select! {
        running = serve_server(server.clone(), transport) => running,
        () = cancel.cancelled() => return Ok(()),
    };
    let running = match running {
        Ok(running) => running,
        // A client that leaves before it says anything is no error.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(e) => return Err(failed(e.to_string())),
    };
    let (end, last) = (running.cancellation_token(), server.clone());
    let ending = tokio::spawn(async move {
        cancel.cancelled().await;
        // What is under way is answered before the door is closed.
        last.end().await;
        end.cancel();
    });
    let ended = running.waiting().await;
    ending.abort();
    server.end().await;
    ended.map(drop).map_err(|e| failed(e.to_string()))
}

/// Lines of the client, until there are no more.
async fn read(mut inbox: mpsc::Sender<ClientJsonRpcMessage>, mut out: mpsc::Sender<String>) {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = Vec::new();
    while input
        .read_until(b'\n', &mut line)
        .await
        .is_ok_and(|length| length > 0)
    {
        let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        if !text.trim_ascii().is_empty() {
            let gone = match message::read(text) {
                Ok(Some(message)) => inbox.send(message).await.is_err(),
                Ok(None) => false,
                Err(problem) => out.send(problem.json.to_string()).await.is_err(),
            };
            if gone {
                return;
            }
        }
        line.clear();
    }
}

/// Lines for the client, until nobody has any more.
async fn write(mut lines: mpsc::Receiver<String>) {
    let mut output = tokio::io::stdout();
    while let Some(mut line) = lines.next().await {
        line.push('\n');
        if output.write_all(line.as_bytes()).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}
