/* One row of 8-bit luma, or of luma and chroma, to gray or BGR; two rows of BGR to luma and chroma.
 *
 * BGR is computed with 16-bit integers that have 5 bits of fraction, and rounded once: no value is more than 0.6 off
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

/* Factors of luma * 2**7 and of (chroma - 128) * 2**8 that give 2**15 times the product with `IMGSTORE_FRACTION` bits
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

/* Convert as many pixels as 32 go into; return how many. */
__attribute__((target("avx2"))) static ptrdiff_t imgstore_yuv_to_bgr_row_avx2(
    const uint8_t *luma, const uint8_t *cb, const uint8_t *cr, uint8_t *bgr, ptrdiff_t width,
    const imgstore_yuv_factors *f)
{
    const __m256i zero = _mm256_setzero_si256(), shift = _mm256_set1_epi16(f->shift);
    const __m256i luma_factor = _mm256_set1_epi16(f->luma), blue_cb = _mm256_set1_epi16(f->blue_cb);
    const __m256i green_cb = _mm256_set1_epi16(f->green_cb), green_cr = _mm256_set1_epi16(f->green_cr);
    const __m256i red_cr = _mm256_set1_epi16(f->red_cr);
    const __m128i center = _mm_set1_epi8(-128);
    ptrdiff_t x = 0;
    for (; x + 32 <= width; x += 32) {
        const __m128i cb_bytes = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(cb + x / 2)), center);
        const __m128i cr_bytes = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(cr + x / 2)), center);
        const __m256i u = _mm256_slli_epi16(_mm256_cvtepi8_epi16(cb_bytes), 8);
        const __m256i v = _mm256_slli_epi16(_mm256_cvtepi8_epi16(cr_bytes), 8);
        const __m256i b = _mm256_add_epi16(_mm256_mulhrs_epi16(u, blue_cb), shift);
        const __m256i g = _mm256_add_epi16(
            _mm256_add_epi16(_mm256_mulhrs_epi16(u, green_cb), _mm256_mulhrs_epi16(v, green_cr)), shift);
        const __m256i r = _mm256_add_epi16(_mm256_mulhrs_epi16(v, red_cr), shift);
        /* of each half's 16 pixels the first eight and the others, as unpacking leaves the chroma of pairs too */
        const __m256i y = _mm256_loadu_si256((const __m256i *)(luma + x));
        const __m256i low = _mm256_mulhrs_epi16(_mm256_srli_epi16(_mm256_unpacklo_epi8(zero, y), 1), luma_factor);
        const __m256i high = _mm256_mulhrs_epi16(_mm256_srli_epi16(_mm256_unpackhi_epi8(zero, y), 1), luma_factor);
#define IMGSTORE_LEVELS(c)                                                                            \
    _mm256_packus_epi16(                                                                              \
        _mm256_srai_epi16(_mm256_add_epi16(low, _mm256_unpacklo_epi16(c, c)), IMGSTORE_FRACTION),     \
        _mm256_srai_epi16(_mm256_add_epi16(high, _mm256_unpackhi_epi16(c, c)), IMGSTORE_FRACTION))
        imgstore_store_bgr(bgr + 3 * x, IMGSTORE_LEVELS(b), IMGSTORE_LEVELS(g), IMGSTORE_LEVELS(r));
#undef IMGSTORE_LEVELS
    }
    return x;
}

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

/* Chroma has one sample for each two pixels. */
static void imgstore_yuv_to_bgr_row(
    const uint8_t *luma, const uint8_t *cb, const uint8_t *cr, uint8_t *bgr, ptrdiff_t width,
    const imgstore_yuv_factors *f)
{
    ptrdiff_t x = 0;
#ifdef IMGSTORE_AVX2
    if (__builtin_cpu_supports("avx2"))
        x = imgstore_yuv_to_bgr_row_avx2(luma, cb, cr, bgr, width, f);
#endif
    for (; x < width; x++) {
        const int y = imgstore_product(luma[x] * 128, f->luma) + f->shift;
        const int u = (cb[x / 2] - 128) * 256, v = (cr[x / 2] - 128) * 256;
        bgr[3 * x] = imgstore_level(y + imgstore_product(u, f->blue_cb));
        bgr[3 * x + 1] = imgstore_level(y + imgstore_product(u, f->green_cb) + imgstore_product(v, f->green_cr));
        bgr[3 * x + 2] = imgstore_level(y + imgstore_product(v, f->red_cr));
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
