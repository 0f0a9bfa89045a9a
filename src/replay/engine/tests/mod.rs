//! The replay against a stand-in of a server that does what a test tells it, and against real servers.

mod blocks;
mod cancels;
mod coming_back;
mod copies;
mod differences;
mod faults;
mod ids;
mod live;
mod messages;
mod odd_servers;
mod order;
mod outage;
mod peak;
mod pool;
mod read_only;
mod retry;
mod rounds;
mod shape;
mod simulation;
mod stand_in;
mod story;
