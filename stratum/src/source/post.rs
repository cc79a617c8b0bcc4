//! What the watcher of one node tells: work, or why there is none.

use super::NodeStatus;
use crate::node::Unfit;
use crate::template::Template;
use arc_swap::ArcSwap;
use pow::Work;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The newest of one node.
pub(super) struct Report {
    /// Which node.
    pub node: usize,
    /// A template and the work of the chain it builds on.
    pub state: Result<(Arc<Template>, Work), Unfit>,
}

/// Where one watcher tells it.
pub(super) struct Post {
    at: usize,
    reports: mpsc::Sender<Report>,
    /// For people.
    pub status: Arc<ArcSwap<NodeStatus>>,
    /// What was told last.
    pub last: Option<Arc<Template>>,
}

impl Post {
    pub fn new(at: usize, address: String, reports: mpsc::Sender<Report>) -> Self {
        let status = Arc::new(ArcSwap::from_pointee(NodeStatus {
            address,
            unfit: Some(Unfit::Trouble("not asked yet".into())),
            height: 0,
            heard_by: "start",
        }));
        Post { at, reports, status, last: None }
    }

    pub async fn report(&mut self, template: Arc<Template>, work: Work, by: &'static str) {
        let moved = self.last.as_ref().is_none_or(|last| last.prev_hash != template.prev_hash);
        if moved {
            tracing::debug!(height = template.height, by, "a new tip");
        }
        let before = self.status.load();
        let heard_by = if moved { by } else { before.heard_by };
        let status =
            NodeStatus { unfit: None, height: template.height, heard_by, ..(**before).clone() };
        if before.unfit.is_some() {
            tracing::info!(node = status.address, height = template.height, "the node gives work");
        }
        self.status.store(Arc::new(status));
        self.last = Some(template.clone());
        self.send(Ok((template, work))).await;
    }

    pub async fn report_unfit(&mut self, unfit: Unfit) {
        let before = self.status.load();
        if before.unfit.as_ref() != Some(&unfit) {
            tracing::error!(node = before.address, "{unfit}");
        }
        self.status
            .store(Arc::new(NodeStatus { unfit: Some(unfit.clone()), ..(**before).clone() }));
        self.send(Err(unfit)).await;
    }

    async fn send(&self, state: Result<(Arc<Template>, Work), Unfit>) {
        if self.reports.send(Report { node: self.at, state }).await.is_err() {
            tracing::debug!("nobody coordinates any more");
        }
    }
}
