//! Work at join: a try, which is what a check costs the server too, beside the signature that every join has.
#![allow(missing_docs)]

use beacon_sdk::Identity;
use beacon_sdk::plugin::Join;
use beacon_sdk::signaling::{Nonce, Proof, Riddle, Slate, TRIES_MAX};
use core::hint::black_box;
use criterion::{Criterion, criterion_group, criterion_main};

fn work(criterion: &mut Criterion) {
    let identity = Identity::from_secret([7; 32]);
    let nonce = Nonce::from_bytes([1; 32]);
    let join =
        Join { name: "launch".into(), peer: identity.public(), broadcast: None, publish: false };
    let riddle = Riddle::new(&nonce, 5, &join, TRIES_MAX);
    let mut group = criterion.benchmark_group("join");
    let (mut slate, mut answer) = (Slate::new(), 0);
    group.bench_function("one try of work", |bencher| {
        bencher.iter(|| {
            answer += 1;
            riddle.is_solved_by(black_box(answer), &mut slate)
        });
    });
    let proof = Proof::sign(&identity, &nonce, 5, &join);
    group.bench_function("floor: its signature verified", |bencher| {
        bencher.iter(|| black_box(&proof).verify(&nonce, 5, &join));
    });
    group.finish();
}

criterion_group!(benches, work);
criterion_main!(benches);
