//! The room through a loopback socket, driven by a client of a few lines.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::future::FutureExt as _;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::{Async, LocalExecutor, Timer};

use super::*;
use crate::limits::HTTP_BODY_SMALL_BYTES_MAX;

/// Nothing in these tests takes so long unless it hangs.
const HANG: Duration = Duration::from_secs(20);

mod feeds;
mod tls;

fn settings() -> Settings {
    Settings {
        head: Duration::from_millis(200),
        body: Duration::from_millis(1000),
        body_stall: Duration::from_millis(200),
        write: Duration::from_secs(10),
        write_stall: Duration::from_millis(200),
        idle: Duration::from_millis(1000),
        stop_grace: HANG,
        bodies_bytes_max: 3 * HTTP_BODY_SMALL_BYTES_MAX,
        ..Settings::new(1024)
    }
}

/// Answers `METHOD path body`, or what the path asks for.
fn echo() -> Handler {
    Rc::new(|mut request: Request| {
        Box::pin(async move {
            let bytes_max = match request.path.as_str() {
                "/unread" => return Response::new(200, "text/plain", "unread"),
                "/hold" => 4 * HTTP_BODY_SMALL_BYTES_MAX,
                _ => 1000,
            };
            let body = match request.body.read(bytes_max).await {
                Ok(octets) => String::from_utf8_lossy(octets).into_owned(),
                Err(BodyError::TooLarge) => return Response::new(413, "text/plain", "too large"),
                Err(BodyError::NoRoom) => return Response::new(503, "text/plain", "no room"),
                Err(BodyError::Late) => return Response::new(408, "text/plain", "late"),
                Err(BodyError::Broken) => return Response::new(400, "text/plain", "broken"),
            };
            match request.path.as_str() {
                "/big" => Response::new(200, "text/plain", vec![b'x'; 16 << 20]),
                "/none" => Response::empty(204),
                "/slow" => {
                    Timer::after(Duration::from_millis(100)).await;
                    Response::new(200, "text/plain", "slow")
                }
                "/hold" => {
                    Timer::after(Duration::from_millis(1000)).await;
                    Response::new(200, "text/plain", "held")
                }
                path => {
                    Response::new(200, "text/plain", format!("{:?} {path} {body}", request.method))
                }
            }
        })
    })
}

/// Runs `client` against a server of its own, then stops the server and sees it end.
fn with_server<T>(settings: Settings, client: impl AsyncFnOnce(SocketAddr) -> T) -> T {
    with_server_on(settings, None, client)
}

fn with_server_on<T>(
    settings: Settings,
    tls: Option<super::tls::Tls>,
    client: impl AsyncFnOnce(SocketAddr) -> T,
) -> T {
    let executor = Rc::new(LocalExecutor::new());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = smol::channel::bounded(1);
    let server =
        executor.spawn(serve(listener, Rc::clone(&executor), settings, echo(), stopped, tls));
    let test = async {
        let result = client(address).await;
        drop(stop);
        server.await.unwrap();
        result
    };
    let hang = async {
        Timer::after(HANG).await;
        panic!("the test hangs");
    };
    smol::block_on(executor.run(test.or(hang)))
}

async fn connect(address: SocketAddr) -> Async<TcpStream> {
    Async::<TcpStream>::connect(address).await.unwrap()
}

/// All that the server says until it closes; a reset ends it as well.
async fn read_all(stream: &mut Async<TcpStream>) -> String {
    let (mut octets, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        octets.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8(octets).unwrap()
}

/// Reads until the text ends with `end`.
async fn read_until(stream: &mut Async<TcpStream>, end: &str) -> String {
    let (mut octets, mut chunk) = (Vec::new(), [0; 4096]);
    while !octets.ends_with(end.as_bytes()) {
        let count = stream.read(&mut chunk).await.unwrap();
        assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&octets));
        octets.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8(octets).unwrap()
}

/// Sends a request and returns all that comes until the server closes.
fn exchange(request: &str) -> String {
    with_server(settings(), async |address| {
        let mut stream = connect(address).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    })
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn a_request_with_a_body_is_answered() {
    let response = exchange(
        "POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
    );
    assert_eq!(status(&response), "200", "{response}");
    assert!(response.ends_with("\r\n\r\nPost /a/b abc"), "{response}");
    assert!(response.contains("content-length: 13\r\n"), "{response}");
}

#[test]
fn what_go_takes_in_a_url_is_taken() {
    let request = "POST /a<\"b\">c?d>\"e HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n<\">";
    with_server(settings(), async |address| {
        let mut stream = connect(address).await;
        for _ in 0..2 {
            // The body is nobody's to mend.
            stream.write_all(request.as_bytes()).await.unwrap();
            read_until(&mut stream, "Post /a%3C%22b%22%3Ec <\">").await;
        }
        // However it is cut, and however long it is.
        let long = "<".repeat(3000);
        let request = format!("GET /{long}>b HTTP/1.1\r\nHost: x\r\n\r\n");
        for half in request.as_bytes().chunks(1400) {
            stream.write_all(half).await.unwrap();
            Timer::after(Duration::from_millis(20)).await;
        }
        let expected = format!("Get /{}%3Eb ", "%3C".repeat(3000));
        read_until(&mut stream, &expected).await;
    });
}

#[test]
fn a_chunked_body_is_put_together() {
    let response = exchange(
        "POST /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    assert!(response.ends_with("Post /c abcde"), "{response}");
}

#[test]
fn head_is_get_without_the_octets() {
    let response = exchange("HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(response.contains("content-length: 7\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\n"), "{response}");
}

#[test]
fn no_content_has_neither_length_nor_octets() {
    let response = exchange("GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&response), "204");
    assert!(!response.contains("content-length") && response.ends_with("\r\n\r\n"), "{response}");
}

#[test]
fn pipelined_requests_are_answered_in_order_on_one_connection() {
    with_server(settings(), async |address| {
        let mut stream = connect(address).await;
        let one = |path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let all = [one("/slow"), one("/1"), one("/2")].concat();
        stream.write_all(all.as_bytes()).await.unwrap();
        let text = read_until(&mut stream, "Get /2 ").await;
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part} in {text}"));
        assert!(at("slow") < at("Get /1") && at("Get /1") < at("Get /2"));
        // And later, the connection being kept alive, once more.
        stream.write_all(one("/3").as_bytes()).await.unwrap();
        read_until(&mut stream, "Get /3 ").await;
    });
}

#[test]
fn a_client_that_closes_its_half_still_gets_its_answer() {
    with_server(settings(), async |address| {
        let mut stream = connect(address).await;
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
        assert!(read_all(&mut stream).await.ends_with("slow"));
    });
}

/// Sends `start`, then `drip` every 20 ms, and returns what the server said and how long it took.
fn drip(start: &str, drip: &str) -> (String, Duration) {
    with_server(settings(), async |address| {
        let mut stream = connect(address).await;
        let mut writer = stream.get_ref().try_clone().unwrap();
        let begun = Instant::now();
        stream.write_all(start.as_bytes()).await.unwrap();
        let dripping = async {
            loop {
                Timer::after(Duration::from_millis(20)).await;
                let _broken = std::io::Write::write(&mut writer, drip.as_bytes());
            }
        };
        let said = read_all(&mut stream).or(dripping).await;
        (said, begun.elapsed())
    })
}

#[test]
fn a_header_that_drips_is_cut_at_its_time() {
    let (said, took) = drip("GET / HTTP/1.1\r\nA: ", "a");
    assert_eq!(said, "");
    assert!(took >= Duration::from_millis(190), "{took:?}");
}

#[test]
fn a_body_that_drips_is_refused_at_its_time() {
    let (said, took) = drip("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n", "a");
    assert_eq!(status(&said), "408", "{said}");
    assert!(took >= Duration::from_millis(990), "{took:?}");
}

#[test]
fn a_body_that_stops_is_refused_before_its_time() {
    let (said, took) = drip("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nabc", "");
    assert_eq!(status(&said), "408", "{said}");
    assert!((190..900).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn silent_connections_are_closed() {
    let (said, took) = drip("", "");
    assert_eq!(said, "");
    assert!((190..900).contains(&took.as_millis()), "before a request: {took:?}");
    let (said, took) = drip("GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "");
    assert_eq!(status(&said), "200");
    assert!(took >= Duration::from_millis(990), "after a response: {took:?}");
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    with_server(settings(), async |address| {
        let mut stream = connect(address).await;
        stream.write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        // Longer than the stall, shorter than the whole time for a response.
        Timer::after(Duration::from_millis(500)).await;
        let got = read_all(&mut stream).await.len();
        assert!(got < 16 << 20, "{got}");
    });
}

#[test]
fn a_client_that_reads_slowly_gets_it_all() {
    with_server(settings(), async |address| {
        let mut stream = connect(address).await;
        let request = b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let (mut got, mut chunk) = (0, vec![0; 2 << 20]);
        loop {
            Timer::after(Duration::from_millis(50)).await;
            match stream.read(&mut chunk).await.unwrap() {
                0 => break,
                count => got += count,
            }
        }
        assert!(got > 16 << 20, "{got}");
    });
}

#[test]
fn headers_over_the_limits_are_answered_431() {
    use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX};
    let long = "a".repeat(HTTP_HEAD_BYTES_MAX);
    let response = exchange(&format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n"));
    assert_eq!(status(&response), "431", "{response}");
    let many = "A: b\r\n".repeat(HTTP_HEADERS_MAX + 1);
    let response = exchange(&format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"));
    assert_eq!(status(&response), "431", "{response}");
}

#[test]
fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
    let long = "a".repeat(1001);
    let announced = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n{long}");
    assert_eq!(status(&exchange(&announced)), "413");
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{long}\r\n0\r\n\r\n"
    );
    assert_eq!(status(&exchange(&chunked)), "413");
    let claimed = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n";
    assert_eq!(status(&exchange(claimed)), "413");
    let fits = format!(
        "POST /f HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n{}",
        &long[1..]
    );
    assert_eq!(status(&exchange(&fits)), "200");
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    with_server(settings(), async |address| {
        let mut stream = connect(address).await;
        let head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        // A client that looks at the response only after all of its body is out.
        stream.write_all(&vec![b'a'; 8_000_000]).await.unwrap();
        assert_eq!(status(&read_all(&mut stream).await), "413");
    });
}

#[test]
fn expect_100_is_answered_only_when_the_body_is_wanted() {
    let request = |length: usize| {
        format!(
            "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    with_server(settings(), async |address| {
        let mut stream = connect(address).await;
        stream.write_all(request(3).as_bytes()).await.unwrap();
        read_until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
        stream.write_all(b"abc").await.unwrap();
        read_until(&mut stream, "Post / abc").await;
    });
    assert_eq!(status(&exchange(&request(1001))), "413");
}

#[test]
fn large_bodies_together_stay_within_their_budget_and_leave_the_small_alone() {
    let length = 2 * HTTP_BODY_SMALL_BYTES_MAX;
    let request = |path: &str, length: usize| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), &vec![b'a'; length]].concat()
    };
    with_server(settings(), async |address| {
        let large = request("/hold", length);
        let mut first = connect(address).await;
        first.write_all(&large).await.unwrap();
        // A response on another connection, asked for after the first body was sent, says that
        // the server has come that far.
        let mut other = connect(address).await;
        other.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        read_until(&mut other, "slow").await;
        let mut second = connect(address).await;
        second.write_all(&large).await.unwrap();
        assert_eq!(status(&read_all(&mut second).await), "503");
        let mut small = connect(address).await;
        small.write_all(&request("/small", 1000)).await.unwrap();
        assert_eq!(status(&read_all(&mut small).await), "200");
    });
}

#[test]
fn a_body_that_the_handler_does_not_want_is_not_waited_for() {
    let response = exchange("POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\na");
    assert_eq!(status(&response), "200", "{response}");
    // One that came in one piece is skipped, and the connection kept.
    with_server(settings(), async |address| {
        let mut stream = connect(address).await;
        let unread = "POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        stream.write_all(unread.as_bytes()).await.unwrap();
        read_until(&mut stream, "unread").await;
        stream.write_all(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        read_until(&mut stream, "Get /next ").await;
    });
}

#[test]
fn a_network_over_its_cap_is_refused_and_served_again_when_it_lets_go() {
    let settings =
        Settings { connections_per_network_max: 2, idle: HANG, head: HANG, ..settings() };
    with_server(settings, async |address| {
        let ask = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = connect(address).await;
            stream.write_all(ask).await.unwrap();
            read_until(&mut stream, "Get /a ").await;
            held.push(stream);
        }
        let mut third = connect(address).await;
        assert_eq!(status(&read_all(&mut third).await), "503");
        drop(held.pop());
        loop {
            let mut again = connect(address).await;
            let _refused = again.write_all(ask).await;
            let mut chunk = [0; 12];
            if again.read_exact(&mut chunk).await.is_ok() && chunk.ends_with(b"200") {
                break;
            }
        }
    });
}

#[test]
fn a_stop_answers_what_is_in_flight_and_closes_what_is_idle() {
    let executor = Rc::new(LocalExecutor::new());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = smol::channel::bounded(1);
    let settings = Settings { idle: HANG, head: HANG, ..settings() };
    let server =
        executor.spawn(serve(listener, Rc::clone(&executor), settings, echo(), stopped, None));
    smol::block_on(executor.run(async {
        let mut idle = connect(address).await;
        idle.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        read_until(&mut idle, "Get /a ").await;
        let mut busy = connect(address).await;
        busy.write_all(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut third = connect(address).await;
        third.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        read_until(&mut third, "slow").await;
        drop(stop);
        assert_eq!(read_all(&mut idle).await, "");
        assert!(read_all(&mut busy).await.ends_with("held"));
        server.await.unwrap();
        assert!(Async::<TcpStream>::connect(address).await.is_err());
    }));
}

#[test]
fn a_stop_does_not_wait_longer_than_its_grace() {
    let settings = Settings { stop_grace: Duration::from_millis(100), ..settings() };
    let begun = Instant::now();
    with_server(settings, async |address| {
        let mut stream = connect(address).await;
        stream.write_all(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        // Kept open until the server has ended.
        std::mem::forget(stream);
        Timer::after(Duration::from_millis(50)).await;
    });
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[test]
fn accepting_goes_on_after_the_open_files_ran_out() {
    let executor = Rc::new(LocalExecutor::new());
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let address = listener.get_ref().local_addr().unwrap();
    let mut errors = vec![libc::EMFILE, libc::ECONNABORTED];
    let accept = async move || match errors.pop() {
        Some(code) => Err(std::io::Error::from_raw_os_error(code)),
        None => listener.accept().await,
    };
    let (stop, stopped) = smol::channel::bounded(1);
    let server = executor.spawn(listener::serve_accepted(
        accept,
        Rc::clone(&executor),
        settings(),
        echo(),
        stopped,
        None,
    ));
    smol::block_on(executor.run(async {
        let mut stream = connect(address).await;
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        read_until(&mut stream, "Get /a ").await;
        drop(stop);
        server.await;
    }));
}
