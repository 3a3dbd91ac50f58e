//! The gate: the door between strangers and tiny_http.
//!
//! What it does: one thread owns the public listeners, admits a bounded number of connections, gives every head,
//! answer and idle connection a deadline, lets only the requests of a scraper through, and passes each, rewritten, over
//! one private connection to tiny_http. The main loop takes requests from the [`Door`] and answers them there; the
//! bytes of a page go from the answer to the client's socket without passing through tiny_http, and without a copy.
//!
//! What it leaves to others: which paths exist and what they answer (the main loop), compression, authentication,
//! TLS, and the choice of addresses (the caller binds the listeners).
//!
//! Who calls it: `main`, once, and the main loop for each request.
//!
//! Why it exists: tiny_http 0.12 is stopped for ever by one POST without its body, by one reader that does not read,
//! or by one failed `accept`. Behind the gate it sees exactly one connection in its life, and on
//! it nothing but well-formed requests without a body.
//!
//! ```text
//! client ─TCP─> keeper ─rewritten head─> line ─unix socket─> tiny_http ─> Door::next ─> main loop
//!                 │  ^                     │                                                │
//!                 │  └──── answer head ────┘<──────────── tiny_http <─ Door::answer <───────┤
//!                 └<─────────────────────── handover: the body's shared bytes <─────────────┘
//! ```
//!
//! A request whose answer takes a while is held: the main loop says so at once, the answer follows through the handover,
//! and others are answered meanwhile.
//!
//! | file | what |
//! |---|---|
//! | `limits` | every bound, with its unit and its reason |
//! | `policy` | which methods are allowed on which paths |
//! | `head` | reads a request head as it arrives, judges it, rewrites it |
//! | `refusal` | the answers that the gate gives by itself |
//! | `outgoing` | one answer on its way to a client |
//! | `connection` | one client: what it is doing and until when it may |
//! | `table` | all clients: who must go when there is no room |
//! | `line` | the private connection to tiny_http |
//! | `door` | the side of the main loop: requests out, answers in |
//! | `keeper` | the thread: poll, and what happens then |
//! | `accept` | new connections, and the room for them |
//! | `closing` | the end: who has asked is answered, nobody else is let in |
//! | `watch` | notices that the main loop has stalled |
//! | `counters` | what has happened, for metrics |

mod accept;
mod closing;
mod connection;
mod counters;
mod door;
mod head;
mod keeper;
mod limits;
mod line;
mod outgoing;
mod policy;
mod refusal;
mod table;
mod watch;

pub use counters::Counters;
pub use door::{Answer, Body, Door, Held, Next, Request, Stopper};
pub use limits::Limits;
pub use policy::{Method, Policy, Rule};
