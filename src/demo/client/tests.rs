//! Whatever ends a connection, and whenever: who went away is told from who said something wrong.

use std::task::Poll::Ready;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

/// A connection whose node is gone, or worse, before the client has said a word.
struct Ended(fn() -> io::Result<()>);

impl AsyncRead for Ended {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Ready(self.0())
    }
}

impl AsyncWrite for Ended {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Ready(Err(ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Ready(Ok(()))
    }
}

/// Each many times: which of the two futures is looked at first is left to chance.
const TIMES: usize = 100;

#[tokio::test]
async fn a_node_that_goes_away_before_it_is_asked_is_a_loss() {
    for ended in
        [|| Ok(()), || Err(ErrorKind::ConnectionReset.into()), || Err(ErrorKind::UnexpectedEof.into())]
    {
        for _ in 0..TIMES {
            let error = exchange_on(Ended(ended), "/whoami").await.unwrap_err();
            assert!(error.is_loss(), "{error}: {error:?}");
        }
    }
}

#[tokio::test]
async fn nonsense_before_the_question_is_no_loss() {
    for _ in 0..TIMES {
        let error = exchange_on(Ended(|| Err(ErrorKind::InvalidData.into())), "/whoami").await.unwrap_err();
        assert!(!error.is_loss(), "{error}: {error:?}");
    }
}

#[tokio::test]
async fn nonsense_and_half_an_answer_are_told_apart() {
    for (said, loss) in [("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", true), ("220 ready\r\n", false)]
    {
        for _ in 0..TIMES {
            let (stream, mut node) = duplex(1024);
            let answer = async move {
                node.read_u8().await.unwrap();
                node.write_all(said.as_bytes()).await.unwrap();
            };
            let (result, ()) = tokio::join!(exchange_on(stream, "/whoami"), answer);
            let error = result.unwrap_err();
            assert_eq!(error.is_loss(), loss, "{said:?}: {error}: {error:?}");
        }
    }
}
