//! Bytes in and out, driven by whoever owns the socket.
//!
//! Invariant: a slow reader costs a bounded buffer, an idle one none.

use super::{Closing, OUT_MAX, Session};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

impl Session {
    /// Drives the connection until something needs its owner: answers out, bytes out, bytes in.
    pub fn poll_io<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), Closing>>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        loop {
            self.poll_answers(cx);
            if self.unknown.is_some() {
                return Poll::Ready(Ok(()));
            }
            if !self.hashing.is_empty() {
                self.poll_hashes(cx)?;
                if !self.hand_over() {
                    return Poll::Ready(Ok(()));
                }
                self.poll_answers(cx);
            }
            let mut flushed = self.poll_write(stream, cx)?;
            if flushed && self.work_due {
                self.send_work(self.now_ms());
                flushed = self.poll_write(stream, cx)?;
            }
            if !flushed && self.out.len() > OUT_MAX / 4 {
                // Reading goes on when the reader has caught up, which wakes this task.
                return Poll::Pending;
            }
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            std::task::ready!(self.poll_read(stream, cx))?;
            if !self.hand_over() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    pub(super) fn poll_read<S: tokio::io::AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closing>> {
        // On the stack, so that ten thousand idle connections hold no buffers.
        let mut space = [std::mem::MaybeUninit::uninit(); 8192];
        let mut buffer = tokio::io::ReadBuf::uninit(&mut space);
        match Pin::new(stream).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                Poll::Ready(self.feed(buffer.filled()))
            }
            Poll::Ready(_) => Poll::Ready(Err(Closing::Gone)),
        }
    }

    /// Writes what can be written; true when nothing is left.
    pub(super) fn poll_write<S: tokio::io::AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Result<bool, Closing> {
        while self.written < self.out.len() {
            match Pin::new(&mut *stream).poll_write(cx, &self.out[self.written..]) {
                Poll::Ready(Ok(count)) if count > 0 => self.written += count,
                Poll::Ready(_) => return Err(Closing::Gone),
                Poll::Pending if self.out.len() - self.written > OUT_MAX => {
                    return Err(Closing::TooSlow);
                }
                Poll::Pending => return Ok(false),
            }
        }
        if !self.out.is_empty() {
            self.out = Vec::new();
            self.written = 0;
            self.job_ends = 0;
            if let Poll::Ready(Err(_)) = Pin::new(stream).poll_flush(cx) {
                return Err(Closing::Gone);
            }
        }
        Ok(true)
    }
}
