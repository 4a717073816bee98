/* One row of 8-bit luma, or of luma and chroma, to gray or BGR; two rows of BGR to luma and chroma.
 *
 * BGR is computed with 16-bit integers that have 5 bits of fraction, and rounded once: no value is more than 0.7 off
 * the exact one. Where the processor has AVX2, 32 pixels are converted at a time, with the very same arithmetic.
 */

#ifndef IMGSTORE_YUV_ROWS_H
#define IMGSTORE_YUV_ROWS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define IMGSTORE_AVX2
#include <immintrin.h>
#endif

#define IMGSTORE_FRACTION 5

/* Factors of luma * 2**7 and of (chroma - 128) * 2**7 that give 2**15 times the product with `IMGSTORE_FRACTION` bits
 * of fraction; `shift` has what black subtracts and the half that rounds. */
typedef struct {
    int16_t luma, shift, blue_cb, green_cb, green_cr, red_cr;
} imgstore_yuv_factors;

/* Factors of BGR * 2**7 that give 2**15 times the product with `IMGSTORE_BACK_FRACTION` bits of fraction. */
#define IMGSTORE_BACK_FRACTION 6

typedef struct {
    int16_t blue, green, red, shift;
} imgstore_weights;

typedef struct {
    imgstore_weights luma, cb, cr;
} imgstore_bgr_factors;

/* As the instruction pmulhrsw: the product's high bits, rounded. */
static inline int16_t imgstore_product(int a, int b)
{
    return (int16_t)((a * b + 0x4000) >> 15);
}

/* Weights, times 2**15, of the four samples around a place between the second and the third, in the cubic interpolation
 * that is swscale's default (B = 0 and C = 0.6 in Mitchell and Netravali, Reconstruction Filters in Computer Graphics,
 * 1988): half way, nearer to the second, nearer to the third. */
#define IMGSTORE_HALF_OUTER -2458
#define IMGSTORE_HALF_INNER 18842
static const int16_t imgstore_near_second[4] = {-2765, 28570, 7885, -922};
static const int16_t imgstore_near_third[4] = {-922, 7885, 28570, -2765};

/* swscale leaves out one of them in the third row and column. */
static const int16_t imgstore_without_first[4] = {0, 7669, 27788, -2689};

/* Weights for a row, or a column, of luma; the samples are those from `imgstore_first_sample` on. */
static inline const int16_t *imgstore_weights_at(ptrdiff_t place)
{
    return place % 2 ? imgstore_near_second : place == 2 ? imgstore_without_first : imgstore_near_third;
}

static inline ptrdiff_t imgstore_first_sample(ptrdiff_t place)
{
    return (place + 1) / 2 - 2;
}

/* What swscale has in 15 bits between its two steps ends at 255.99; below 0 it does not end. */
#define IMGSTORE_MOST_CHROMA 16383

static inline uint8_t imgstore_level(int value)
{
    value >>= IMGSTORE_FRACTION;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* (luma - 16) * 255 / 219 is above + above * 12 / 73. What is added to the numerator rounds, and the high bits of the
 * product are those of a division by 73, exactly, for numerators up to 2664. */
#define IMGSTORE_ROUND 36
#define IMGSTORE_BY_73 898

#ifdef IMGSTORE_AVX2

/* Convert as many pixels as 32 go into; return how many. */
__attribute__((target("avx2"))) static ptrdiff_t imgstore_limited_luma_to_gray_row_avx2(
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

/* Put 32 pixels in order: `b`, `g` and `r` have 16 of them in each half. */
__attribute__((target("avx2"))) static inline void imgstore_store_bgr(uint8_t *bgr, __m256i b, __m256i g, __m256i r)
{
#define IMGSTORE_PICK(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))
#define IMGSTORE_OR(x, y, z) _mm256_or_si256(_mm256_or_si256(x, y), z)
    const __m256i first = IMGSTORE_OR(
        _mm256_shuffle_epi8(b, IMGSTORE_PICK(0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5)),
        _mm256_shuffle_epi8(g, IMGSTORE_PICK(-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1)),
        _mm256_shuffle_epi8(r, IMGSTORE_PICK(-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1)));
    const __m256i middle = IMGSTORE_OR(
        _mm256_shuffle_epi8(b, IMGSTORE_PICK(-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1)),
        _mm256_shuffle_epi8(g, IMGSTORE_PICK(5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10)),
        _mm256_shuffle_epi8(r, IMGSTORE_PICK(-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1)));
    const __m256i last = IMGSTORE_OR(
        _mm256_shuffle_epi8(b, IMGSTORE_PICK(-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1)),
        _mm256_shuffle_epi8(g, IMGSTORE_PICK(-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1)),
        _mm256_shuffle_epi8(r, IMGSTORE_PICK(10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15)));
    _mm256_storeu_si256((__m256i *)bgr, _mm256_permute2x128_si256(first, middle, 0x20));
    _mm256_storeu_si256((__m256i *)(bgr + 32), _mm256_permute2x128_si256(last, first, 0x30));
    _mm256_storeu_si256((__m256i *)(bgr + 64), _mm256_permute2x128_si256(middle, last, 0x31));
#undef IMGSTORE_PICK
#undef IMGSTORE_OR
}

/* Sum up four vectors of samples with weights that are times 2**15. */
#define IMGSTORE_SUM(s0, s1, s2, s3, w0, w1, w2, w3)                                                       \
    _mm256_add_epi16(                                                                                      \
        _mm256_add_epi16(_mm256_mulhrs_epi16(s0, w0), _mm256_mulhrs_epi16(s1, w1)),                        \
        _mm256_add_epi16(_mm256_mulhrs_epi16(s2, w2), _mm256_mulhrs_epi16(s3, w3)))

/* Interpolate between columns as many times 16 samples as there are; return how many samples that were. */
__attribute__((target("avx2"))) static ptrdiff_t imgstore_between_columns_avx2(
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
        const __m256i low = _mm256_unpacklo_epi16(even, odd), high = _mm256_unpackhi_epi16(even, odd);
        _mm256_storeu_si256((__m256i *)(out + 2 * i), _mm256_permute2x128_si256(low, high, 0x20));
        _mm256_storeu_si256((__m256i *)(out + 2 * i + 16), _mm256_permute2x128_si256(low, high, 0x31));
    }
    return i;
}

/* Interpolate as many samples as 16 go into between four rows; return how many. */
__attribute__((target("avx2"))) static ptrdiff_t imgstore_between_rows_avx2(
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

/* Convert as many pixels as 32 go into; return how many. */
__attribute__((target("avx2"))) static ptrdiff_t imgstore_yuv_to_bgr_row_avx2(
    const uint8_t *luma, const int16_t *cb, const int16_t *cr, uint8_t *bgr, ptrdiff_t width,
    const imgstore_yuv_factors *f)
{
    const __m256i zero = _mm256_setzero_si256(), shift = _mm256_set1_epi16(f->shift);
    const __m256i luma_factor = _mm256_set1_epi16(f->luma), blue_cb = _mm256_set1_epi16(f->blue_cb);
    const __m256i green_cb = _mm256_set1_epi16(f->green_cb), green_cr = _mm256_set1_epi16(f->green_cr);
    const __m256i red_cr = _mm256_set1_epi16(f->red_cr);
    ptrdiff_t x = 0;
    for (; x + 32 <= width; x += 32) {
        /* of each half's 16 pixels the first eight, and the others: so they are unpacked, and packed again */
        const __m256i level = _mm256_loadu_si256((const __m256i *)(luma + x));
        const __m256i levels[2] = {_mm256_unpacklo_epi8(zero, level), _mm256_unpackhi_epi8(zero, level)};
        __m256i b[2], g[2], r[2];
        for (int k = 0; k < 2; k++) {
#define IMGSTORE_AT(row)                                                                                    \
    _mm256_inserti128_si256(                                                                                \
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)((row) + x + 8 * k))),                      \
        _mm_loadu_si128((const __m128i *)((row) + x + 8 * k + 16)), 1)
            const __m256i u = IMGSTORE_AT(cb), v = IMGSTORE_AT(cr);
#undef IMGSTORE_AT
            const __m256i y = _mm256_add_epi16(
                _mm256_mulhrs_epi16(_mm256_srli_epi16(levels[k], 1), luma_factor), shift);
            b[k] = _mm256_add_epi16(y, _mm256_mulhrs_epi16(u, blue_cb));
            g[k] = _mm256_add_epi16(
                y, _mm256_add_epi16(_mm256_mulhrs_epi16(u, green_cb), _mm256_mulhrs_epi16(v, green_cr)));
            r[k] = _mm256_add_epi16(y, _mm256_mulhrs_epi16(v, red_cr));
        }
#define IMGSTORE_LEVELS(c)                                                                                  \
    _mm256_packus_epi16(_mm256_srai_epi16(c[0], IMGSTORE_FRACTION), _mm256_srai_epi16(c[1], IMGSTORE_FRACTION))
        imgstore_store_bgr(bgr + 3 * x, IMGSTORE_LEVELS(b), IMGSTORE_LEVELS(g), IMGSTORE_LEVELS(r));
#undef IMGSTORE_LEVELS
    }
    return x;
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
__attribute__((target("avx2"))) static inline void imgstore_load_bgr(
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
__attribute__((target("avx2"))) static ptrdiff_t imgstore_bgr_to_yuv_rows_avx2(
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
            imgstore_load_bgr(bgr[row] + 3 * x, &b, &g, &r);
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

#endif

static void imgstore_limited_luma_to_gray_row(const uint8_t *luma, uint8_t *gray, ptrdiff_t width)
{
    ptrdiff_t x = 0;
#ifdef IMGSTORE_AVX2
    if (__builtin_cpu_supports("avx2"))
        x = imgstore_limited_luma_to_gray_row_avx2(luma, gray, width);
#endif
    for (; x < width; x++) {
        const unsigned above = luma[x] < 16 ? 0 : luma[x] > 235 ? 219 : luma[x] - 16u;
        gray[x] = (uint8_t)(above + (((above * 12 + IMGSTORE_ROUND) * IMGSTORE_BY_73) >> 16));
    }
}

/* As `IMGSTORE_SUM`. */
static inline int16_t imgstore_sum(const int16_t *samples, const int16_t *weights)
{
    return (int16_t)(
        imgstore_product(samples[0], weights[0]) + imgstore_product(samples[1], weights[1])
        + imgstore_product(samples[2], weights[2]) + imgstore_product(samples[3], weights[3]));
}

/* The ends of a row of chroma go on beyond it. */
#define IMGSTORE_MARGIN 2

/* Chroma at a pixel, from a row of samples that are less 128 and times 2**7. */
static inline int16_t imgstore_chroma_at(const int16_t *row, ptrdiff_t x, int centered)
{
    static const int16_t half[4] = {
        IMGSTORE_HALF_OUTER, IMGSTORE_HALF_INNER, IMGSTORE_HALF_INNER, IMGSTORE_HALF_OUTER};
    int16_t value = row[x / 2];
    if (centered)
        value = imgstore_sum(row + imgstore_first_sample(x), imgstore_weights_at(x));
    else if (x % 2)
        value = imgstore_sum(row + x / 2 - 1, half);
    return value < IMGSTORE_MOST_CHROMA ? value : IMGSTORE_MOST_CHROMA;
}

/* Chroma for each pixel of a row, less 128 and times 2**7, of samples of which there is one for two pixels: `centered`
 * between them, else at the first one. `scratch` has room for the samples with a margin at both ends. */
static void imgstore_chroma_between_columns(
    const uint8_t *samples, int centered, int16_t *scratch, int16_t *out, ptrdiff_t width)
{
    const ptrdiff_t count = (width + 1) / 2;
    int16_t *row = scratch + IMGSTORE_MARGIN;
    ptrdiff_t x = 0;
    for (ptrdiff_t i = 0; i < count; i++)
        row[i] = (int16_t)((samples[i] - 128) * 128);
    for (int k = 1; k <= IMGSTORE_MARGIN; k++) {
        row[-k] = row[0];
        row[count - 1 + k] = row[count - 1];
    }
#ifdef IMGSTORE_AVX2
    if (__builtin_cpu_supports("avx2"))
        x = 2 * imgstore_between_columns_avx2(row, centered, out, width / 2);
    if (x > 2) /* whose weights are its own */
        out[2] = imgstore_chroma_at(row, 2, centered);
#endif
    for (; x < width; x++)
        out[x] = imgstore_chroma_at(row, x, centered);
}

/* The same at a row of luma, between four such rows. */
static void imgstore_chroma_between_rows(const int16_t *const *rows, ptrdiff_t place, int16_t *out, ptrdiff_t width)
{
    const int16_t *weights = imgstore_weights_at(place);
    ptrdiff_t x = 0;
#ifdef IMGSTORE_AVX2
    if (__builtin_cpu_supports("avx2"))
        x = imgstore_between_rows_avx2(rows, weights, out, width);
#endif
    for (; x < width; x++) {
        const int16_t samples[4] = {rows[0][x], rows[1][x], rows[2][x], rows[3][x]};
        out[x] = imgstore_sum(samples, weights);
    }
}

/* Chroma is as the functions above give it. */
static void imgstore_yuv_to_bgr_row(
    const uint8_t *luma, const int16_t *cb, const int16_t *cr, uint8_t *bgr, ptrdiff_t width,
    const imgstore_yuv_factors *f)
{
    ptrdiff_t x = 0;
#ifdef IMGSTORE_AVX2
    if (__builtin_cpu_supports("avx2"))
        x = imgstore_yuv_to_bgr_row_avx2(luma, cb, cr, bgr, width, f);
#endif
    for (; x < width; x++) {
        const int y = imgstore_product(luma[x] * 128, f->luma) + f->shift;
        bgr[3 * x] = imgstore_level(y + imgstore_product(cb[x], f->blue_cb));
        bgr[3 * x + 1]
            = imgstore_level(y + imgstore_product(cb[x], f->green_cb) + imgstore_product(cr[x], f->green_cr));
        bgr[3 * x + 2] = imgstore_level(y + imgstore_product(cr[x], f->red_cr));
    }
}

/* The sum of what three levels * 2**7 weigh, as a level. */
static inline uint8_t imgstore_weigh(int blue, int green, int red, imgstore_weights weights)
{
    int value = imgstore_product(blue, weights.blue) + imgstore_product(green, weights.green)
        + imgstore_product(red, weights.red) + weights.shift;
    value >>= IMGSTORE_BACK_FRACTION;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Two rows, whose width is even. Chroma is of the mean of four pixels. */
static void imgstore_bgr_to_yuv_rows(
    const uint8_t *const *bgr, uint8_t *const *luma, uint8_t *cb, uint8_t *cr, ptrdiff_t width,
    const imgstore_bgr_factors *f)
{
    ptrdiff_t x = 0;
#ifdef IMGSTORE_AVX2
    if (__builtin_cpu_supports("avx2"))
        x = imgstore_bgr_to_yuv_rows_avx2(bgr, luma, cb, cr, width, f);
#endif
    for (; x < width; x += 2) {
        int sum[3] = {0, 0, 0};
        for (int k = 0; k < 4; k++) {
            const ptrdiff_t column = x + k % 2;
            const uint8_t *pixel = bgr[k / 2] + 3 * column;
            luma[k / 2][column] = imgstore_weigh(pixel[0] * 128, pixel[1] * 128, pixel[2] * 128, f->luma);
            for (int color = 0; color < 3; color++)
                sum[color] += pixel[color];
        }
        cb[x / 2] = imgstore_weigh(sum[0] * 32, sum[1] * 32, sum[2] * 32, f->cb);
        cr[x / 2] = imgstore_weigh(sum[0] * 32, sum[1] * 32, sum[2] * 32, f->cr);
    }
}

#endif
