//! The lines of a request's body as they come.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::time::Duration;
use tokio_util::codec::{AnyDelimiterCodec, Decoder};

/// The longest line, in bytes.
pub(super) const LINE_BYTES_MAX: usize = 1_048_576;

/// The lines of a body. It keeps one line and what came with its end, and no more.
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    codec: AnyDelimiterCodec,
    has_ended: bool,
    silence_max: Duration,
}

/// Why there are no more lines although the body has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A line is longer than [`LINE_BYTES_MAX`].
    TooLong,
    /// Nothing came for too long.
    Silent,
    /// The connection was lost, or what came on it is not HTTP.
    Lost,
}

impl Lines {
    pub(super) fn new(body: Body, silence_max: Duration) -> Self {
        let codec =
            AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), b"\n".to_vec(), LINE_BYTES_MAX);
        Self { body, buffer: BytesMut::new(), codec, has_ended: false, silence_max }
    }

    /// The next line without its end; `None` after the last. Dropped while it waits, it loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            let decoded = match self.has_ended {
                false => self.codec.decode(&mut self.buffer),
                true => self.codec.decode_eof(&mut self.buffer),
            };
            let line = decoded.map_err(|_| Broken::TooLong)?;
            if line.is_some() || self.has_ended {
                return Ok(line);
            }
            let frame = tokio::time::timeout(self.silence_max, self.body.frame()).await;
            match frame.map_err(|_| Broken::Silent)? {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(_)) => return Err(Broken::Lost),
                None => self.has_ended = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::channel::Channel;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn all(mut lines: Lines) -> (Vec<Bytes>, Option<Broken>) {
        let mut found = Vec::new();
        loop {
            match lines.next().await {
                Ok(Some(line)) => found.push(line),
                Ok(None) => return (found, None),
                Err(broken) => return (found, Some(broken)),
            }
        }
    }

    #[tokio::test]
    async fn lines_are_found_however_they_are_cut() {
        for (frames, expected) in [
            (vec!["a\nb", "c\n"], vec!["a", "bc"]),
            (vec!["a\r\n", "\n", "last"], vec!["a\r", "", "last"]),
            (vec![], vec![]),
            (vec!["\n"], vec![""]),
        ] {
            let (mut sender, body) = Channel::<Bytes>::new(8);
            for frame in frames {
                sender.send_data(Bytes::from(frame)).await.unwrap();
            }
            drop(sender);
            let lines = Lines::new(Body::new(body), PATIENCE);
            let expected: Vec<Bytes> = expected.into_iter().map(Bytes::from).collect();
            assert_eq!(all(lines).await, (expected, None));
        }
    }

    #[tokio::test]
    async fn a_line_without_end_is_not_kept() {
        let longest = "x".repeat(LINE_BYTES_MAX);
        let lines = Lines::new(Body::from(format!("{longest}\n{longest}x\n")), PATIENCE);
        let (found, broken) = all(lines).await;
        assert_eq!((found.len(), broken), (1, Some(Broken::TooLong)));
    }

    #[tokio::test]
    async fn silence_is_not_waited_out() {
        let (mut sender, body) = Channel::<Bytes>::new(8);
        sender.send_data(Bytes::from("a\nb")).await.unwrap();
        let lines = Lines::new(Body::new(body), Duration::from_millis(20));
        assert_eq!(all(lines).await, (vec![Bytes::from("a")], Some(Broken::Silent)));
        drop(sender);
    }
}
