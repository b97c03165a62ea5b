// Philox4x32-10 (Salmon et al. 2011) and the integer normal draw: bit for bit src/sampler. Needs the binding `table`.

const CELLS: u32 = 256u;
const TRUNCATED_TAIL: u32 = 97711072u;

// High 32 bits of a * b, by 16-bit halves.
fn mul_high(a: u32, b: u32) -> u32 {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let low = a0 * b0;
    let mid = a1 * b0 + (low >> 16u);
    let mid2 = a0 * b1 + (mid & 0xffffu);
    return a1 * b1 + (mid >> 16u) + (mid2 >> 16u);
}

fn philox4x32(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10u; round += 1u) {
        let high0 = mul_high(0xD2511F53u, c.x);
        let high1 = mul_high(0xCD9E8D57u, c.z);
        c = vec4<u32>(high1 ^ c.y ^ k.x, 0xCD9E8D57u * c.z, high0 ^ c.w ^ k.y, 0xD2511F53u * c.x);
        k += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

// The normal magnitude, times 2^21, of a 31-bit tail integer.
fn normal_magnitude(tail: u32) -> i32 {
    let t = max(tail, 1u);
    let zeros = countLeadingZeros(t);
    let aligned = (t << zeros) << 1u;
    let cell = (31u - zeros) * CELLS + (aligned >> 24u);
    let frac = (aligned >> 8u) & 0xffffu;
    let a = table[cell];
    let b = table[cell + 1u];
    return a - i32((u32(a - b) * frac) >> 16u);
}

fn normal_integer(word: u32) -> i32 {
    let m = normal_magnitude(word & 0x7fffffffu);
    return select(m, -m, (word >> 31u) == 1u);
}

fn truncated_integer(word: u32) -> i32 {
    let range = 0x80000000u - TRUNCATED_TAIL;
    let m = normal_magnitude(TRUNCATED_TAIL + mul_high((word & 0x7fffffffu) << 1u, range));
    return select(m, -m, (word >> 31u) == 1u);
}

fn uniform_integer(word: u32) -> i32 {
    return 2 * i32(word >> 8u) + 1 - 16777216;
}
