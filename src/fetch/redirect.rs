//! Where a redirect leads, if it is followed.

use ureq::http::{Response, header};

use super::{Failure, Request, Url};

/// Which redirects are followed. From https to http is never followed, and a POST goes on only by 307 and 308, which
/// send its body again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// To any host; headers of the service stay behind when the host changes.
    Anywhere,
    /// Only to the same scheme, host and port.
    SameOrigin,
    /// None at all.
    Nowhere,
}

/// The address that an answer sends us on to.
///
/// # Errors
/// `Redirect`, with the reason not to go there.
pub(super) fn next_hop(
    request: &Request<'_>,
    url: &Url,
    response: &Response<ureq::Body>,
) -> Result<Url, Failure> {
    let status = response.status().as_u16();
    let location = response
        .headers()
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok());
    let (301 | 302 | 303 | 307 | 308, Some(location)) = (status, location) else {
        return Err(Failure::Redirect(format!(
            "status {status} names no address to go to"
        )));
    };
    let next = url
        .join(location)
        .map_err(|bad| Failure::Redirect(format!("its address {bad}")))?;
    let is_allowed = match request.follow {
        Follow::Anywhere => true,
        Follow::SameOrigin => next.origin() == request.url.origin(),
        Follow::Nowhere => false,
    };
    if !is_allowed || (request.body.is_some() && !matches!(status, 307 | 308)) {
        return Err(Failure::Redirect(format!("it leads to {next}")));
    }
    if url.is_https() && !next.is_https() {
        return Err(Failure::Redirect(format!("it leads from https to {next}")));
    }
    Ok(next)
}
