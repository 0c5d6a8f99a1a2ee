//! What load balancers ask, as CoreDNS answers it: `/health` is 200 while the process is there,
//! `/ready` is 200 until it is about to stop. They may share an address with the API.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::config::{Probe, ProbeKind, Serve};
use crate::http::{Handler, Response};

/// What is answered at an address of HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Paths {
    pub(super) api: bool,
    pub(super) health: bool,
    pub(super) ready: bool,
}

/// The addresses of HTTP, each once, that of the API first.
pub(super) fn addresses(serve: &Serve) -> Vec<(SocketAddr, Paths)> {
    let mut found = vec![(serve.http, Paths { api: true, ..Paths::default() })];
    for Probe { address, kind } in &serve.probes {
        let index = found.iter().position(|(known, _)| known == address).unwrap_or(found.len());
        if index == found.len() {
            found.push((*address, Paths::default()));
        }
        match (found.get_mut(index), kind) {
            (Some((_, paths)), ProbeKind::Health) => paths.health = true,
            (Some((_, paths)), ProbeKind::Ready) => paths.ready = true,
            (None, _) => {}
        }
    }
    found
}

/// Answers what `paths` says at the moment.
pub(super) fn handler(
    paths: &Rc<Cell<Paths>>,
    is_ready: &Rc<Cell<bool>>,
    api: &Handler,
) -> Handler {
    let (paths, is_ready, api) = (Rc::clone(paths), Rc::clone(is_ready), Rc::clone(api));
    Rc::new(move |request| {
        let Paths { api: has_api, health, ready } = paths.get();
        let text = |status, text| Response::new(status, "text/plain; charset=utf-8", text);
        let response = match &*request.path {
            "/health" if health => text(200, "OK"),
            "/ready" if ready && is_ready.get() => text(200, "OK"),
            "/ready" if ready => text(503, "Shutting down"),
            _ if has_api => return api(request),
            _ => text(404, "404 page not found\n"),
        };
        Box::pin(async move { response })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settle;
    use crate::http::{Method, Request};

    #[test]
    fn each_address_answers_its_own_paths() {
        let api: Handler = Rc::new(|_| Box::pin(async { Response::empty(204) }));
        let (paths, is_ready) = (Rc::new(Cell::new(Paths::default())), Rc::new(Cell::new(true)));
        let handler = handler(&paths, &is_ready, &api);
        let status =
            |path| smol::block_on(handler(Request::for_test(Method::Get, path, &[], b""))).status;
        let all = || ["/health", "/ready", "/api/health"].map(status);
        assert_eq!(all(), [404, 404, 404]);
        paths.set(Paths { health: true, ..Paths::default() });
        assert_eq!(all(), [200, 404, 404]);
        paths.set(Paths { api: true, health: true, ready: true });
        assert_eq!(all(), [200, 200, 204]);
        is_ready.set(false);
        assert_eq!(all(), [200, 503, 204]);
    }

    #[test]
    fn an_address_that_is_named_twice_is_one() {
        let (mut serve, _) = settle::serve(&Default::default(), &|_| None, None);
        let other = "127.0.0.1:8080".parse().unwrap();
        for (address, kind) in
            [(other, ProbeKind::Health), (other, ProbeKind::Ready), (serve.http, ProbeKind::Ready)]
        {
            serve.probes.push(Probe { address, kind });
        }
        let both = Paths { api: false, health: true, ready: true };
        let with_api = Paths { api: true, health: false, ready: true };
        assert_eq!(addresses(&serve), [(serve.http, with_api), (other, both)]);
    }
}
