//! One byte stream, whatever carries it.
//!
//! Takes a connected TCP or Unix socket, or TLS over TCP, and gives tokio's reading and writing. Must not know what is
//! said over it.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

use super::end_point;

/// A connected stream, to a server or from a client.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// To a server that a test plays itself.
    #[cfg(test)]
    Played(tokio::io::DuplexStream),
}

impl Stream {
    /// Whether what is said is encrypted on its way.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Has the runtime that calls it look after the stream from now on: one of another thread did, and may have ended.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn settle_here(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => settle_tcp(stream),
            Self::Tls(stream) => settle_tcp(stream.get_mut().0),
            Self::Unix(stream) => {
                // Only a second descriptor can be handed to another runtime while the first is still in use.
                let other = std::os::unix::net::UnixStream::from(stream.as_fd().try_clone_to_owned()?);
                *stream = UnixStream::from_std(other)?;
                Ok(())
            }
            #[cfg(test)]
            Self::Played(_) => Ok(()),
        }
    }

    /// What ties a proof to this connection (RFC 5929); none without TLS or where the certificate has no such hash.
    pub fn tls_server_end_point(&self) -> Option<Vec<u8>> {
        let Self::Tls(stream) = self else { return None };
        let (_, session) = stream.get_ref();
        end_point::tls_server_end_point(session.peer_certificates()?.first()?)
    }
}

fn settle_tcp(stream: &mut TcpStream) -> io::Result<()> {
    let other = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
    *stream = TcpStream::from_std(other)?;
    Ok(())
}

macro_rules! forward {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream.get_mut() {
            Stream::Tcp($inner) => {
                let $inner = Pin::new($inner);
                $call
            }
            Stream::Unix($inner) => {
                let $inner = Pin::new($inner);
                $call
            }
            Stream::Tls($inner) => {
                let $inner = Pin::new(&mut **$inner);
                $call
            }
            #[cfg(test)]
            Stream::Played($inner) => {
                let $inner = Pin::new($inner);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        forward!(self, inner => inner.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, inner => inner.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, inner => inner.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, inner => inner.poll_shutdown(cx))
    }
}
