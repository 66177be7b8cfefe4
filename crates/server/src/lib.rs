#![doc = include_str!("../README.md")]

mod app;
mod certificate;
mod checkpoint_key;
pub mod cli;
mod config;
mod connections;
mod demo;
mod documentation;
mod health;
mod holdings;
mod serve;
mod sms_status;
mod stores;
mod workers;

use app::App;
