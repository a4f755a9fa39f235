//! What operators have ordered (L10), by the names of cluster and node. An order outlives the absence of its node in the
//! configuration, and goes from process to process at an upgrade (O3).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::leader::Override;

/// The orders in force: cluster, node, order.
pub type OrdersInForce = BTreeMap<String, BTreeMap<String, Override>>;

/// The orders of one process; clones are one.
#[derive(Clone, Debug)]
pub struct OrderBook(Arc<watch::Sender<OrdersInForce>>);

/// One order as it is written down between processes. A reader ignores fields that it does not know; a later version may
/// add some, and never changes these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenOrder {
    /// The order in the words that people use: `drain`, `pin`.
    pub order: String,
}

/// Orders as they are written down between processes.
pub type WrittenOrders = BTreeMap<String, BTreeMap<String, WrittenOrder>>;

/// Writes orders down.
pub fn write(orders: &OrdersInForce) -> WrittenOrders {
    let of_node = |(node, order): (&String, &Override)| {
        (node.clone(), WrittenOrder { order: order.as_str().to_owned() })
    };
    let of_cluster = |(cluster, nodes): (&String, &BTreeMap<String, Override>)| {
        (cluster.clone(), nodes.iter().map(of_node).collect())
    };
    orders.iter().map(of_cluster).collect()
}

/// Reads orders, all of them.
///
/// # Errors
/// The cluster, the node and the order that this version does not know.
pub fn read(written: &WrittenOrders) -> Result<OrdersInForce, String> {
    let mut orders = OrdersInForce::new();
    for (cluster, nodes) in written {
        for (node, WrittenOrder { order }) in nodes {
            let known = Override::ALL.into_iter().find(|known| known.as_str() == order);
            let known =
                known.ok_or_else(|| format!("{node} in {cluster} has the unknown order {order:?}"))?;
            orders.entry(cluster.clone()).or_default().insert(node.clone(), known);
        }
    }
    Ok(orders)
}

impl Default for OrderBook {
    fn default() -> Self {
        OrderBook(Arc::new(watch::Sender::new(OrdersInForce::new())))
    }
}

impl OrderBook {
    /// All orders in force.
    pub fn orders(&self) -> OrdersInForce {
        self.0.borrow().clone()
    }

    /// Notifies of changes.
    pub fn changes(&self) -> watch::Receiver<OrdersInForce> {
        self.0.subscribe()
    }

    /// The order for one node.
    pub fn of(&self, cluster: &str, node: &str) -> Option<Override> {
        self.0.borrow().get(cluster)?.get(node).copied()
    }

    /// Replaces all orders by those of another process.
    pub fn replace(&self, orders: OrdersInForce) {
        self.0.send_replace(orders);
    }

    /// Enters the order for one node, or that there is none any more. A cluster has one pinned node at most.
    pub fn enter(&self, cluster: &str, node: &str, order: Option<Override>) {
        self.0.send_if_modified(|orders| {
            let before = orders.get(cluster).cloned().unwrap_or_default();
            let mut now = before.clone();
            match order {
                Some(order) => {
                    if order == Override::Pin {
                        now.retain(|_, order| *order != Override::Pin);
                    }
                    now.insert(node.to_owned(), order);
                }
                None => drop(now.remove(node)),
            }
            set(orders, cluster, now, &before)
        });
    }

    /// Takes back that some node of a cluster is pinned, be it there or not.
    pub fn unpin(&self, cluster: &str) {
        self.0.send_if_modified(|orders| {
            let before = orders.get(cluster).cloned().unwrap_or_default();
            let mut now = before.clone();
            now.retain(|_, order| *order != Override::Pin);
            set(orders, cluster, now, &before)
        });
    }
}

/// Sets a cluster's orders; whether they are others than before.
fn set(
    orders: &mut OrdersInForce,
    cluster: &str,
    now: BTreeMap<String, Override>,
    before: &BTreeMap<String, Override>,
) -> bool {
    if now == *before {
        return false;
    }
    if now.is_empty() {
        orders.remove(cluster);
    } else {
        orders.insert(cluster.to_owned(), now);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l10_orders_of_any_version_read_back_if_they_are_known() {
        let book = OrderBook::default();
        book.enter("c", "n1", Some(Override::Drain));
        book.enter("d", "n2", Some(Override::Pin));
        let text = serde_json::to_string(&write(&book.orders())).unwrap();
        let newer = text.replace("\"drain\"", "\"drain\",\"until\":7,\"by\":{\"uid\":0}");
        assert_ne!(newer, text);
        assert_eq!(read(&serde_json::from_str(&newer).unwrap()), Ok(book.orders()));
        let unknown = text.replace("\"drain\"", "\"avoid\"");
        let why = read(&serde_json::from_str(&unknown).unwrap()).unwrap_err();
        assert_eq!(why, "n1 in c has the unknown order \"avoid\"");
    }

    #[test]
    fn l10_a_cluster_has_one_pin_and_changes_are_notified_of() {
        let book = OrderBook::default();
        let mut changes = book.changes();
        book.enter("c", "n1", Some(Override::Pin));
        book.enter("c", "n2", Some(Override::Drain));
        book.enter("c", "n3", Some(Override::Pin));
        assert_eq!([book.of("c", "n1"), book.of("c", "n3")], [None, Some(Override::Pin)]);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        book.enter("c", "n3", Some(Override::Pin));
        assert!(!changes.has_changed().unwrap());
        book.unpin("c");
        book.enter("c", "n2", None);
        assert_eq!(book.orders(), OrdersInForce::new());
    }
}
