//! What stands in the place of TLS in a program without it: nothing that could come to be.

use std::convert::Infallible;
use std::error::Error;

use tokio::net::TcpStream;

use super::NoAnswer;
use crate::settings::{ServerUrl, TlsFiles};

/// TLS cannot be spoken. No URL asks for it in a program without it.
pub type TlsError = Infallible;

#[derive(Debug)]
pub(super) struct Tls(Infallible);

impl Tls {
    pub(super) fn to(_: &ServerUrl, _: &TlsFiles) -> Result<Option<Self>, TlsError> {
        Ok(None)
    }

    pub(super) async fn connect(&self, _: TcpStream) -> Result<TcpStream, NoAnswer> {
        match self.0 {}
    }
}

pub(super) fn about_certificates(_: &(dyn Error + 'static)) -> Option<String> {
    None
}
