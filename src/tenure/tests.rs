//! What is written is what is read, in order.

use super::*;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn led(writer: &mut TenureWriter, node: usize) -> Arc<Tenure> {
    writer.lead(NodeId(node), "n".into(), address(1), Instant::now())
}

#[test]
fn s1_epochs_only_grow_across_clusters() {
    let epochs = Arc::new(Epochs::default());
    let (mut a, _) = channel(Instant::now(), Arc::clone(&epochs));
    let (mut b, _) = channel(Instant::now(), epochs);
    let seen: Vec<u64> = [led(&mut a, 0), led(&mut b, 0), led(&mut a, 1)].iter().map(|t| t.epoch).collect();
    assert_eq!(seen, [1, 2, 3]);
}

#[tokio::test]
async fn a_reader_learns_of_routes_and_of_fates() {
    let (mut writer, mut reader) = channel(Instant::now(), Arc::default());
    assert!(reader.leader().is_none());
    let first = led(&mut writer, 0);
    assert!(reader.changed().await);
    assert_eq!(reader.leader().unwrap().node, NodeId(0));
    led(&mut writer, 1);
    reader.mark_seen();
    writer.set_fate(&first, Fate::Drain);
    assert!(reader.changed().await);
    assert_eq!(first.fate(), Fate::Drain);
    drop(writer);
    assert!(!reader.changed().await);
}

#[test]
fn s5_a_drain_can_be_cancelled_but_a_cut_cannot() {
    let (mut writer, _reader) = channel(Instant::now(), Arc::default());
    let tenure = led(&mut writer, 0);
    writer.set_fate(&tenure, Fate::Drain);
    writer.set_fate(&tenure, Fate::Keep);
    assert_eq!(tenure.fate(), Fate::Keep);
    writer.set_fate(&tenure, Fate::Cut);
    writer.set_fate(&tenure, Fate::Keep);
    assert_eq!(tenure.fate(), Fate::Cut);
}

#[test]
fn s3_confirmations_never_go_back() {
    let (mut writer, _reader) = channel(Instant::now(), Arc::default());
    let tenure = led(&mut writer, 0);
    let begin = tenure.confirmed_at();
    tenure.confirm(begin + Duration::from_millis(5));
    tenure.confirm(begin + Duration::from_millis(3));
    assert_eq!(tenure.confirmed_at(), begin + Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn s3_who_waits_for_a_confirmation_hears_it() {
    let (mut writer, _reader) = channel(Instant::now(), Arc::default());
    let tenure = led(&mut writer, 0);
    let begin = tenure.confirmed_at();
    let waiting = tokio::spawn({
        let tenure = Arc::clone(&tenure);
        async move { tenure.confirmed_after(begin + Duration::from_millis(5)).await }
    });
    for ms in [1, 5] {
        tokio::task::yield_now().await;
        tenure.confirm(begin + Duration::from_millis(ms));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "its probe was begun no later than wanted");
    }
    tenure.confirm(begin + Duration::from_micros(5001));
    waiting.await.unwrap();
    tenure.confirmed_after(begin).await;
}

#[tokio::test]
async fn what_many_want_is_the_most_that_one_of_them_wants() {
    let now = Instant::now();
    let (mut writer, reader) = channel(now, Arc::default());
    let other = reader.clone();
    reader.want_confirmation(now + Duration::from_millis(2));
    other.want_confirmation(now + Duration::from_millis(1));
    writer.wanted_more().await;
    assert_eq!(writer.wanted(), Some(now + Duration::from_millis(2)));
    other.want_confirmation(now + Duration::from_millis(2));
    assert!(!writer.wishes.has_changed().unwrap(), "nobody wants more than before");
}
