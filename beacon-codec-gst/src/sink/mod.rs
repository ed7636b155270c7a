//! x
#[derive(Debug)] pub struct Counters; #[derive(Debug)] pub struct GstSink; #[derive(Debug)] pub struct SinkOptions;
