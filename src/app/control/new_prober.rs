//! A prober that has not begun, and that can be begun anew when it has panicked or hangs (O5).

use std::sync::Arc;

use tokio::sync::watch;

use super::hands::{Hands, Task};
use super::watch::Watched;
use crate::intent::{Inbox, ProbeOrder};
use crate::probe::tls::Connector;
use crate::probe::{Prober, ProberSetupError, Settings};

#[cfg(test)]
mod tests;

/// One whose settings have been tried.
pub(super) struct NewProber {
    watched: Watched,
    begin: Box<dyn Fn() -> Result<Box<Prober>, ProberSetupError> + Send>,
    first: Box<Prober>,
}

impl NewProber {
    /// Tries the settings.
    ///
    /// # Errors
    /// If they cannot work.
    pub(super) fn new(
        settings: Arc<Settings>,
        tls: Option<Connector>,
        ordered: watch::Receiver<ProbeOrder>,
        inbox: &Inbox,
        hands: &Hands,
    ) -> Result<Self, ProberSetupError> {
        let ids = Arc::new(hands.ids.another());
        let watched = Watched::new(Arc::clone(&settings), Arc::clone(&ids), inbox.clone());
        let metrics = hands.metrics.probe.node(&settings.cluster, &settings.node);
        let inbox = inbox.clone();
        let begin = Box::new(move || {
            let (settings, tls, ordered) = (Arc::clone(&settings), tls.clone(), ordered.clone());
            // In a box, for it is handed on, and each hand that it goes through keeps its room.
            Prober::new(settings, tls, ordered, inbox.clone(), Arc::clone(&ids), metrics.clone())
                .map(Box::new)
        });
        let first = begin()?;
        Ok(NewProber { watched, begin, first })
    }

    /// Has it probe.
    pub(super) fn spawn(self, hands: &Hands) -> Task {
        let NewProber { watched, begin, first } = self;
        let (role, watched) = (watched.to_string(), hands.watch.over(watched));
        let mut first = Some(first);
        let begin = move || {
            // What could be begun once can be begun again.
            let prober = first.take().map_or_else(&begin, Ok);
            async move {
                if let Ok(mut prober) = prober {
                    prober.run().await;
                }
            }
        };
        hands.spawn_watched(role, begin, watched)
    }
}
