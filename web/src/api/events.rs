//! What happens, as server-sent events.

use super::ask::Ask;
use super::problem::{Answer, Problem};
use crate::news::News;
use crate::site::Site;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use utoipa::IntoParams;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsAsk {
    /// Kinds, separated by commas: `shares`, `job`, `block`, `payout`; all without.
    #[param(pattern = "^[a-z,]*$", example = "block,payout")]
    only: Option<String>,
}

/// Shares a second, new jobs, blocks found, matured and orphaned, payouts: a stream that does not end.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventsAsk), responses(
    (status = 200, description = "Server-sent events, each a JSON object", body = String, content_type = "text/event-stream"),
    (status = 400, description = "The query cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many questions", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Too many streams are open", body = Problem, content_type = "application/problem+json"),
))]
pub async fn events(
    State(site): State<Arc<Site>>,
    Ask(EventsAsk { only }): Ask<EventsAsk>,
) -> Answer<Response> {
    let only: Vec<String> = only
        .iter()
        .flat_map(|text| text.split(','))
        .filter(|k| !k.is_empty())
        .map(str::to_owned)
        .collect();
    if let Some(odd) = only.iter().find(|kind| !News::KINDS.contains(&kind.as_str())) {
        return Err(Problem::bad(format!(
            "there are no events \"{odd}\"; there are {}",
            News::KINDS.join(", ")
        )));
    }
    let Some(seat) = crate::live::seat() else {
        return Err(Problem::unavailable("Too many streams are open; try again later."));
    };
    let mut heard = site.news.subscribe();
    let (send, receive) = mpsc::channel::<Result<Event, std::convert::Infallible>>(16);
    tokio::spawn(async move {
        let _seat = seat;
        loop {
            let news = tokio::select! {
                () = send.closed() => return,
                news = heard.recv() => news,
            };
            let news = match news {
                Ok(news) => news,
                // Who reads too slowly goes on with what is new.
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return,
            };
            if !only.is_empty() && !only.iter().any(|kind| kind == news.kind()) {
                continue;
            }
            let Ok(event) = Event::default().event(news.kind()).json_data(&news) else { return };
            if send.send(Ok(event)).await.is_err() {
                return;
            }
        }
    });
    let events = tokio_stream::wrappers::ReceiverStream::new(receive);
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(20)))
        .into_response())
}
