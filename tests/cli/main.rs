//! The program itself, as a user runs it: exit codes, messages, files, and processes that are killed.

mod attack;
mod bad_data;
mod bad_runs;
mod bad_settings;
mod compare;
mod images;
mod instructions;
mod networks;
mod old_folder;
mod report;
mod results;
mod retrain;
mod sampled;
mod stems;
mod stopped;
mod study;
mod support;
