//! What other Unix systems do in its place.

use super::*;

#[test]
fn o3_whoever_of_a_group_accepts_has_the_client() {
    let mut listeners = bind(ANY_PORT, 3).unwrap();
    let _client = TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
    let last = listeners.pop().unwrap();
    drop(listeners);
    accept(&last);
}

#[test]
fn o4_that_newcomers_cannot_be_kept_away_is_said() {
    let (listener, address) = bind_one();
    let error = quiesce(&listener).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    end_quiescence(&listener);
    let _client = TcpStream::connect(address).unwrap();
    accept(&listener);
}
