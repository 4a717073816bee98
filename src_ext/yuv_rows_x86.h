/* Rows of 8-bit video by instructions of x86 that take 32 bytes at a time; `yuv_rows.h` includes this for each of its targets.
 *
 * IMGSTORE_TARGET is the compiler's attribute for one, and IMGSTORE_FOR(name) what a function is called there.
 */

/* Convert as many pixels as 32 go into; return how many. */
IMGSTORE_TARGET static ptrdiff_t IMGSTORE_FOR(limited_luma_to_gray_row)(
    const uint8_t *luma, uint8_t *gray, ptrdiff_t width)
{
    const __m256i zero = _mm256_setzero_si256(), black = _mm256_set1_epi8(16), white = _mm256_set1_epi8(219 - 256);
    ptrdiff_t x = 0;
    for (; x + 32 <= width; x += 32) {
        const __m256i y = _mm256_loadu_si256((const __m256i *)(luma + x));
        const __m256i above = _mm256_min_epu8(_mm256_subs_epu8(y, black), white);
        const __m256i low = _mm256_unpacklo_epi8(above, zero), high = _mm256_unpackhi_epi8(above, zero);
#define IMGSTORE_GRAY(part)                                                                                    \
    _mm256_add_epi16(                                                                                          \
        part, _mm256_mulhi_epu16(                                                                              \
                  _mm256_add_epi16(                                                                            \
                      _mm256_mullo_epi16(part, _mm256_set1_epi16(12)), _mm256_set1_epi16(IMGSTORE_ROUND)),     \
                  _mm256_set1_epi16(IMGSTORE_BY_73)))
        _mm256_storeu_si256((__m256i *)(gray + x), _mm256_packus_epi16(IMGSTORE_GRAY(low), IMGSTORE_GRAY(high)));
#undef IMGSTORE_GRAY
    }
    return x;
}

/* Put 32 pixels in order: `b`, `g` and `r` have 16 of them in each half. Of the 48 bytes that these become, each of 16
 * places in a vector is filled from one of b, g and r in each of three vectors: so they are shuffled once and chosen from.
 * With `past_caches`, `bgr` is aligned to 32 bytes. */
IMGSTORE_TARGET __attribute__((always_inline)) static inline void IMGSTORE_FOR(store_bgr)(
    uint8_t *bgr, __m256i b, __m256i g, __m256i r, const int past_caches)
{
#define IMGSTORE_BYTES(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))
    const __m256i one_later = IMGSTORE_BYTES(0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0);
    const __m256i two_later = IMGSTORE_BYTES(0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0);
    b = _mm256_shuffle_epi8(b, IMGSTORE_BYTES(0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10, 5));
    g = _mm256_shuffle_epi8(g, IMGSTORE_BYTES(5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10));
    r = _mm256_shuffle_epi8(r, IMGSTORE_BYTES(10, 5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15));
#undef IMGSTORE_BYTES
#define IMGSTORE_CHOOSE(x, y, z) \
    _mm256_blendv_epi8(_mm256_blendv_epi8(x, y, one_later), z, two_later)
    const __m256i first = IMGSTORE_CHOOSE(b, g, r), middle = IMGSTORE_CHOOSE(g, r, b), last = IMGSTORE_CHOOSE(r, b, g);
#undef IMGSTORE_CHOOSE
    const __m256i pixels[3] = {
        _mm256_permute2x128_si256(first, middle, 0x20), _mm256_permute2x128_si256(last, first, 0x30),
        _mm256_permute2x128_si256(middle, last, 0x31)};
    for (int k = 0; k < 3; k++) {
        if (past_caches)
            _mm256_stream_si256((__m256i *)bgr + k, pixels[k]);
        else
            _mm256_storeu_si256((__m256i *)bgr + k, pixels[k]);
    }
}

/* Sum up four vectors of samples with weights that are times 2**15. */
#define IMGSTORE_SUM(s0, s1, s2, s3, w0, w1, w2, w3)                                                       \
    _mm256_add_epi16(                                                                                      \
        _mm256_add_epi16(_mm256_mulhrs_epi16(s0, w0), _mm256_mulhrs_epi16(s1, w1)),                        \
        _mm256_add_epi16(_mm256_mulhrs_epi16(s2, w2), _mm256_mulhrs_epi16(s3, w3)))

/* Take 128 from as many samples as 16 go into, times 2**7; return how many. */
IMGSTORE_TARGET static ptrdiff_t IMGSTORE_FOR(centre)(const uint8_t *samples, int16_t *row, ptrdiff_t count)
{
    ptrdiff_t i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m256i level = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(samples + i)));
        const __m256i centred = _mm256_sub_epi16(level, _mm256_set1_epi16(128));
        _mm256_storeu_si256((__m256i *)(row + i), _mm256_slli_epi16(centred, 7));
    }
    return i;
}

/* Interpolate between columns as many times 16 samples as there are; return how many samples that were.
 *
 * Of each 32 results, the second and the third eight are exchanged: as luma's levels are when they are unpacked. */
IMGSTORE_TARGET static ptrdiff_t IMGSTORE_FOR(between_columns)(
    const int16_t *row, int centered, int16_t *out, ptrdiff_t count)
{
    const int16_t *w = imgstore_near_second;
    const __m256i w0 = _mm256_set1_epi16(w[0]), w1 = _mm256_set1_epi16(w[1]);
    const __m256i w2 = _mm256_set1_epi16(w[2]), w3 = _mm256_set1_epi16(w[3]);
    const __m256i outer = _mm256_set1_epi16(IMGSTORE_HALF_OUTER), inner = _mm256_set1_epi16(IMGSTORE_HALF_INNER);
    const __m256i most = _mm256_set1_epi16(IMGSTORE_MOST_CHROMA);
    ptrdiff_t i = 0;
    for (; i + 16 <= count; i += 16) {
#define IMGSTORE_AT(offset) _mm256_loadu_si256((const __m256i *)(row + i + (offset)))
        const __m256i before = IMGSTORE_AT(-1), here = IMGSTORE_AT(0), after = IMGSTORE_AT(1), last = IMGSTORE_AT(2);
        __m256i even = here, odd;
        if (centered) {
            even = IMGSTORE_SUM(after, here, before, IMGSTORE_AT(-2), w0, w1, w2, w3);
            odd = IMGSTORE_SUM(before, here, after, last, w0, w1, w2, w3);
        } else {
            odd = IMGSTORE_SUM(before, here, after, last, outer, inner, inner, outer);
        }
#undef IMGSTORE_AT
        even = _mm256_min_epi16(even, most);
        odd = _mm256_min_epi16(odd, most);
        _mm256_storeu_si256((__m256i *)(out + 2 * i), _mm256_unpacklo_epi16(even, odd));
        _mm256_storeu_si256((__m256i *)(out + 2 * i + 16), _mm256_unpackhi_epi16(even, odd));
    }
    return i;
}

/* Interpolate as many samples as 16 go into between four rows; return how many. */
IMGSTORE_TARGET static ptrdiff_t IMGSTORE_FOR(between_rows)(
    const int16_t *const *rows, const int16_t *weights, int16_t *out, ptrdiff_t count)
{
    const __m256i w0 = _mm256_set1_epi16(weights[0]), w1 = _mm256_set1_epi16(weights[1]);
    const __m256i w2 = _mm256_set1_epi16(weights[2]), w3 = _mm256_set1_epi16(weights[3]);
    ptrdiff_t i = 0;
    for (; i + 16 <= count; i += 16) {
#define IMGSTORE_SAMPLES(row) _mm256_loadu_si256((const __m256i *)(rows[row] + i))
        _mm256_storeu_si256(
            (__m256i *)(out + i),
            IMGSTORE_SUM(
                IMGSTORE_SAMPLES(0), IMGSTORE_SAMPLES(1), IMGSTORE_SAMPLES(2), IMGSTORE_SAMPLES(3), w0, w1, w2, w3));
#undef IMGSTORE_SAMPLES
    }
    return i;
}

IMGSTORE_TARGET static inline imgstore_wide_factors IMGSTORE_FOR(widen)(const imgstore_yuv_factors *f)
{
    const imgstore_wide_factors wide = {
        _mm256_set1_epi16(f->luma), _mm256_set1_epi16(f->shift), _mm256_set1_epi16(f->blue_cb),
        _mm256_set1_epi16(f->green_cb), _mm256_set1_epi16(f->green_cr), _mm256_set1_epi16(f->red_cr)};
    return wide;
}

/* Convert 32 pixels. Of each half's 16 the first eight, and the others, are in a vector. */
IMGSTORE_TARGET __attribute__((always_inline)) static inline void IMGSTORE_FOR(yuv_to_bgr)(
    const uint8_t *luma, const __m256i *cb, const __m256i *cr, uint8_t *bgr, const imgstore_wide_factors *f,
    const int past_caches)
{
    const __m256i zero = _mm256_setzero_si256(), level = _mm256_loadu_si256((const __m256i *)luma);
    const __m256i levels[2] = {_mm256_unpacklo_epi8(zero, level), _mm256_unpackhi_epi8(zero, level)};
    __m256i b[2], g[2], r[2];
    for (int k = 0; k < 2; k++) {
        const __m256i y = _mm256_add_epi16(_mm256_mulhrs_epi16(_mm256_srli_epi16(levels[k], 1), f->luma), f->shift);
        b[k] = _mm256_add_epi16(y, _mm256_mulhrs_epi16(cb[k], f->blue_cb));
        g[k] = _mm256_add_epi16(
            y, _mm256_add_epi16(_mm256_mulhrs_epi16(cb[k], f->green_cb), _mm256_mulhrs_epi16(cr[k], f->green_cr)));
        r[k] = _mm256_add_epi16(y, _mm256_mulhrs_epi16(cr[k], f->red_cr));
    }
#define IMGSTORE_LEVELS(c) \
    _mm256_packus_epi16(_mm256_srai_epi16(c[0], IMGSTORE_FRACTION), _mm256_srai_epi16(c[1], IMGSTORE_FRACTION))
    IMGSTORE_FOR(store_bgr)(bgr, IMGSTORE_LEVELS(b), IMGSTORE_LEVELS(g), IMGSTORE_LEVELS(r), past_caches);
#undef IMGSTORE_LEVELS
}

/* Convert as many pixels as 32 go into; return how many. */
IMGSTORE_TARGET static ptrdiff_t IMGSTORE_FOR(yuv_to_bgr_row)(
    const uint8_t *luma, const int16_t *cb, const int16_t *cr, uint8_t *bgr, ptrdiff_t width,
    const imgstore_yuv_factors *f)
{
    const imgstore_wide_factors wide = IMGSTORE_FOR(widen)(f);
    ptrdiff_t x = 0;
    for (; x + 32 <= width; x += 32) {
#define IMGSTORE_LOAD(row) \
    {_mm256_loadu_si256((const __m256i *)((row) + x)), _mm256_loadu_si256((const __m256i *)((row) + x + 16))}
        const __m256i u[2] = IMGSTORE_LOAD(cb), v[2] = IMGSTORE_LOAD(cr);
#undef IMGSTORE_LOAD
        IMGSTORE_FOR(yuv_to_bgr)(luma + x, u, v, bgr + 3 * x, &wide, 0);
    }
    return x;
}

/* Convert as many pixels of two rows as 32 go into, between the same four rows of chroma; return how many of each.
 *
 * The pixels of a large picture go past the caches to memory, where it is aligned: they would be gone from there before the
 * last are written, and with them the pictures that the decoder refers to next. */
IMGSTORE_TARGET __attribute__((always_inline)) static inline ptrdiff_t IMGSTORE_FOR(convert_pair)(
    const uint8_t *const *luma, const int16_t *const *cb, const int16_t *const *cr, const int16_t *const *weights,
    uint8_t *const *bgr, ptrdiff_t width, const imgstore_yuv_factors *f, const int past_caches)
{
    const imgstore_wide_factors wide = IMGSTORE_FOR(widen)(f);
    /* copies of what the compiler would take to change with each pixel */
    const int16_t *const chroma[2][4] = {{cb[0], cb[1], cb[2], cb[3]}, {cr[0], cr[1], cr[2], cr[3]}};
    const uint8_t *const levels[2] = {luma[0], luma[1]};
    uint8_t *const pixels[2] = {bgr[0], bgr[1]};
    __m256i w[2][4];
    for (int row = 0; row < 2; row++)
        for (int k = 0; k < 4; k++)
            w[row][k] = _mm256_set1_epi16(weights[row][k]);
    ptrdiff_t x = 0;
    for (; x + 32 <= width; x += 32) {
        if (past_caches && x % IMGSTORE_LINE == 0)
            for (int row = 0; row < 2; row++) /* of the next pair; the processor by itself stops at a page's end */
                __builtin_prefetch(levels[row] + x + 2 * (levels[1] - levels[0]));
        __m256i between[2][2][2]; /* by row, plane and half */
        for (int plane = 0; plane < 2; plane++)
            for (int k = 0; k < 2; k++) {
#define IMGSTORE_LOAD(row) _mm256_loadu_si256((const __m256i *)(chroma[plane][row] + x + 16 * k))
                const __m256i s0 = IMGSTORE_LOAD(0), s1 = IMGSTORE_LOAD(1), s2 = IMGSTORE_LOAD(2), s3 = IMGSTORE_LOAD(3);
#undef IMGSTORE_LOAD
                for (int row = 0; row < 2; row++)
                    between[row][plane][k] = IMGSTORE_SUM(s0, s1, s2, s3, w[row][0], w[row][1], w[row][2], w[row][3]);
            }
        for (int row = 0; row < 2; row++)
            IMGSTORE_FOR(yuv_to_bgr)(
                levels[row] + x, between[row][0], between[row][1], pixels[row] + 3 * x, &wide, past_caches);
    }
    return x;
}

IMGSTORE_TARGET static ptrdiff_t IMGSTORE_FOR(yuv_to_bgr_pair)(
    const uint8_t *const *luma, const int16_t *const *cb, const int16_t *const *cr, const int16_t *const *weights,
    uint8_t *const *bgr, ptrdiff_t width, const imgstore_yuv_factors *f, int large)
{
    if (large && ((uintptr_t)bgr[0] | (uintptr_t)bgr[1]) % sizeof(__m256i) == 0) {
        const ptrdiff_t done = IMGSTORE_FOR(convert_pair)(luma, cb, cr, weights, bgr, width, f, 1);
        _mm_sfence(); /* before another thread is told of it */
        return done;
    }
    return IMGSTORE_FOR(convert_pair)(luma, cb, cr, weights, bgr, width, f, 0);
}

#undef IMGSTORE_SUM

#define IMGSTORE_WEIGHT(b, g, r, w)                                                                        \
    _mm256_srai_epi16(                                                                                     \
        _mm256_add_epi16(                                                                                  \
            _mm256_add_epi16(                                                                              \
                _mm256_mulhrs_epi16(b, _mm256_set1_epi16(w.blue)),                                         \
                _mm256_mulhrs_epi16(g, _mm256_set1_epi16(w.green))),                                       \
            _mm256_add_epi16(                                                                              \
                _mm256_mulhrs_epi16(r, _mm256_set1_epi16(w.red)), _mm256_set1_epi16(w.shift))),            \
        IMGSTORE_BACK_FRACTION)

/* Take 32 pixels of BGR apart. */
IMGSTORE_TARGET static inline void IMGSTORE_FOR(load_bgr)(
    const uint8_t *bgr, __m256i *b, __m256i *g, __m256i *r)
{
#define IMGSTORE_LOAD(at)                                                                                  \
    _mm256_inserti128_si256(                                                                               \
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(bgr + (at)))),                            \
        _mm_loadu_si128((const __m128i *)(bgr + (at) + 48)), 1)
#define IMGSTORE_PICK(from, ...) _mm256_shuffle_epi8(from, _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__)))
#define IMGSTORE_OR(x, y, z) _mm256_or_si256(_mm256_or_si256(x, y), z)
    const __m256i first = IMGSTORE_LOAD(0), middle = IMGSTORE_LOAD(16), last = IMGSTORE_LOAD(32);
    *b = IMGSTORE_OR(
        IMGSTORE_PICK(first, 0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1),
        IMGSTORE_PICK(middle, -1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14, -1, -1, -1, -1, -1),
        IMGSTORE_PICK(last, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 4, 7, 10, 13));
    *g = IMGSTORE_OR(
        IMGSTORE_PICK(first, 1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1),
        IMGSTORE_PICK(middle, -1, -1, -1, -1, -1, 0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1),
        IMGSTORE_PICK(last, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14));
    *r = IMGSTORE_OR(
        IMGSTORE_PICK(first, 2, 5, 8, 11, 14, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1),
        IMGSTORE_PICK(middle, -1, -1, -1, -1, -1, 1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1),
        IMGSTORE_PICK(last, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 3, 6, 9, 12, 15));
#undef IMGSTORE_LOAD
#undef IMGSTORE_PICK
#undef IMGSTORE_OR
}

/* Convert as many pixels as 32 go into; return how many. */
IMGSTORE_TARGET static ptrdiff_t IMGSTORE_FOR(bgr_to_yuv_rows)(
    const uint8_t *const *bgr, uint8_t *const *luma, uint8_t *cb, uint8_t *cr, ptrdiff_t width,
    const imgstore_bgr_factors *f)
{
    const __m256i zero = _mm256_setzero_si256(), ones = _mm256_set1_epi8(1);
    const imgstore_weights y = f->luma, u = f->cb, v = f->cr;
    ptrdiff_t x = 0;
    for (; x + 32 <= width; x += 32) {
        __m256i blue = zero, green = zero, red = zero;
        for (int row = 0; row < 2; row++) {
            __m256i b, g, r;
            IMGSTORE_FOR(load_bgr)(bgr[row] + 3 * x, &b, &g, &r);
#define IMGSTORE_LOW(c) _mm256_srli_epi16(_mm256_unpacklo_epi8(zero, c), 1)
#define IMGSTORE_HIGH(c) _mm256_srli_epi16(_mm256_unpackhi_epi8(zero, c), 1)
            _mm256_storeu_si256(
                (__m256i *)(luma[row] + x),
                _mm256_packus_epi16(
                    IMGSTORE_WEIGHT(IMGSTORE_LOW(b), IMGSTORE_LOW(g), IMGSTORE_LOW(r), y),
                    IMGSTORE_WEIGHT(IMGSTORE_HIGH(b), IMGSTORE_HIGH(g), IMGSTORE_HIGH(r), y)));
#undef IMGSTORE_LOW
#undef IMGSTORE_HIGH
            blue = _mm256_add_epi16(blue, _mm256_maddubs_epi16(b, ones));
            green = _mm256_add_epi16(green, _mm256_maddubs_epi16(g, ones));
            red = _mm256_add_epi16(red, _mm256_maddubs_epi16(r, ones));
        }
        blue = _mm256_slli_epi16(blue, 5); /* four pixels * 2**5 */
        green = _mm256_slli_epi16(green, 5);
        red = _mm256_slli_epi16(red, 5);
        const __m256i chroma = _mm256_permute4x64_epi64(
            _mm256_packus_epi16(IMGSTORE_WEIGHT(blue, green, red, u), IMGSTORE_WEIGHT(blue, green, red, v)), 0xd8);
        _mm_storeu_si128((__m128i *)(cb + x / 2), _mm256_castsi256_si128(chroma));
        _mm_storeu_si128((__m128i *)(cr + x / 2), _mm256_extracti128_si256(chroma, 1));
    }
    return x;
}

#undef IMGSTORE_WEIGHT
