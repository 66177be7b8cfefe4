//! The program as its users meet it: the real binary, over HTTP, on every store.

mod authorisation;
mod concurrency;
mod crash;
mod main_job;
mod openapi;
mod startup;
mod support;
