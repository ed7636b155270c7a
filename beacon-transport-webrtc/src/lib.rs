//! Beacon's links over WebRTC data channels.
