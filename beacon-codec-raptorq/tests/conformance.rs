//! The contract E01–E06 as every erasure code is asked to keep it.

use beacon_codec_raptorq::RaptorQ;

beacon_sdk::erasure_conformance!(|| Box::new(RaptorQ::new()));
