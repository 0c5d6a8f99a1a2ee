//! Responses without an end.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use smol::channel::{Receiver, Sender};
use smol::stream::Stream as _;

use super::*;

/// A feed of `pieces`, then nothing until it is cut.
struct Pieces {
    pieces: Vec<Vec<u8>>,
    ends: bool,
    cut: Pin<Box<Receiver<Infallible>>>,
    _alive: Sender<Infallible>,
}

impl Feed for Pieces {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Octets>> {
        match self.pieces.pop() {
            Some(piece) => Poll::Ready(Some(Rc::new(piece))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.cut.as_mut().poll_next(cx).map(|_| ())
    }
}

/// What a feed's test holds of it.
struct Ends {
    /// Dropped, the feed is cut.
    cut: Sender<Infallible>,
    /// Closed when the feed is dropped.
    alive: Receiver<Infallible>,
}

/// Runs `client` against a server that answers everything with a feed.
fn with_feeds(
    settings: Settings,
    pieces: Vec<Vec<u8>>,
    ends: bool,
    client: impl AsyncFnOnce(SocketAddr, Receiver<Ends>),
) {
    let executor = Rc::new(LocalExecutor::new());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = smol::channel::bounded(1);
    let (told, feeds) = smol::channel::unbounded();
    let handler: Handler = Rc::new(move |_| {
        let (cut, is_cut) = smol::channel::bounded(1);
        let (alive, is_alive) = smol::channel::bounded(1);
        told.try_send(Ends { cut, alive: is_alive }).unwrap();
        let feed = Pieces { pieces: pieces.clone(), ends, cut: Box::pin(is_cut), _alive: alive };
        let mut response = Response::streaming(200, "text/plain", Box::new(feed));
        response.push_header("X-Own", "1");
        response.push_header("X-Broken", "a\r\nb");
        Box::pin(async { response })
    });
    let server =
        executor.spawn(serve(listener, Rc::clone(&executor), settings, handler, stopped, None));
    let test = async {
        client(address, feeds).await;
        drop(stop);
        server.await.unwrap();
    };
    let hang = async {
        Timer::after(HANG).await;
        panic!("the test hangs");
    };
    smol::block_on(executor.run(test.or(hang)));
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

async fn ask(address: SocketAddr) -> Async<TcpStream> {
    let mut stream = connect(address).await;
    stream.write_all(GET).await.unwrap();
    stream
}

#[test]
fn a_feed_is_written_as_it_comes_and_ends_with_the_connection() {
    let pieces = vec![b"two".to_vec(), vec![b'x'; 3_000_000], b"one".to_vec()];
    with_feeds(settings(), pieces, true, async |address, _| {
        let text = read_all(&mut ask(address).await).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<&str> = head.lines().collect();
        let date = lines.iter().position(|line| line.starts_with("Date: ")).unwrap();
        lines.remove(date);
        let expected =
            ["HTTP/1.1 200 OK", "Content-Type: text/plain", "X-Own: 1", "Connection: close"];
        assert_eq!(lines, expected);
        assert_eq!(body.len(), 3_000_006);
        assert!(body.starts_with("one") && body.ends_with("two"));
    });
}

#[test]
fn a_feed_ends_when_its_client_goes_or_its_source_cuts_it_or_the_server_stops() {
    with_feeds(settings(), vec![b"hello".to_vec()], false, async |address, feeds| {
        let mut gone = ask(address).await;
        read_until(&mut gone, "hello").await;
        let ends = feeds.recv().await.unwrap();
        drop(gone);
        assert!(ends.alive.recv().await.is_err(), "dropped with its client");
        let mut cut = ask(address).await;
        read_until(&mut cut, "hello").await;
        let ends = feeds.recv().await.unwrap();
        drop(ends.cut);
        assert_eq!(read_all(&mut cut).await, "");
        // The server stops with one open: that does not keep it.
        let mut stays = ask(address).await;
        read_until(&mut stays, "hello").await;
        std::mem::forget(feeds.recv().await.unwrap().cut);
    });
}

#[test]
fn a_client_that_takes_nothing_is_dropped_and_one_that_is_cut_at_once() {
    let mut settings = settings();
    settings.write_stall = Duration::from_millis(100);
    let endless = vec![vec![b'x'; 1 << 20]; 64];
    with_feeds(settings, endless.clone(), false, async |address, feeds| {
        let _stuck = ask(address).await;
        let ends = feeds.recv().await.unwrap();
        assert!(ends.alive.recv().await.is_err());
    });
    with_feeds(self::settings(), endless, false, async |address, feeds| {
        let _stuck = ask(address).await;
        let ends = feeds.recv().await.unwrap();
        drop(ends.cut);
        assert!(ends.alive.recv().await.is_err());
    });
}

#[test]
fn feeds_have_places_of_their_own_and_no_more() {
    let mut settings = settings();
    settings.connections_max = 1;
    settings.connections_per_network_max = 1;
    settings.feeds_max = 2;
    settings.feeds_per_network_max = 1;
    with_feeds(settings, vec![b"hello".to_vec()], false, async |address, feeds| {
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = ask(address).await;
            read_until(&mut stream, "hello").await;
            held.push((stream, feeds.recv().await.unwrap()));
        }
        let over = read_all(&mut ask(address).await).await;
        assert_eq!(status(&over), "503", "{over}");
        assert!(feeds.recv().await.unwrap().alive.recv().await.is_err());
        held.pop();
        loop {
            let mut next = ask(address).await;
            if read_all_or(&mut next, "hello").await {
                break;
            }
        }
    });
}

/// Reads until the text ends with `end`: true; or until the server closes: false.
async fn read_all_or(stream: &mut Async<TcpStream>, end: &str) -> bool {
    let (mut octets, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        octets.extend_from_slice(&chunk[..count]);
        if octets.ends_with(end.as_bytes()) {
            return true;
        }
    }
    false
}

#[test]
fn head_has_the_header_of_a_feed_and_nothing_else() {
    with_feeds(settings(), vec![b"hello".to_vec()], false, async |address, feeds| {
        let mut stream = connect(address).await;
        stream.write_all(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let text = read_all(&mut stream).await;
        assert_eq!(status(&text), "200");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
        assert!(feeds.recv().await.unwrap().alive.recv().await.is_err());
    });
}
