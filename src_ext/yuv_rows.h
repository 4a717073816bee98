/* One row of 8-bit luma, or of luma and chroma, to gray or BGR; two rows of BGR to luma and chroma.
 *
 * BGR is computed with 16-bit integers that have 5 bits of fraction, and rounded once: no value is more than 0.7 off
 * the exact one. Where the processor has AVX2, 32 pixels are converted at a time, with the very same arithmetic. With
 * AVX-512 the same instructions have twice as many registers, which takes a sixth less time.
 */

#ifndef IMGSTORE_YUV_ROWS_H
#define IMGSTORE_YUV_ROWS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define IMGSTORE_X86
#include <immintrin.h>
#endif

#ifdef _MSC_VER
#include <intrin.h>
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

/* Return what a counter is and add one, whichever thread asks. */
static inline int32_t imgstore_count(int32_t *counter)
{
#ifdef _MSC_VER
    return _InterlockedIncrement((volatile long *)counter) - 1;
#else
    return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
#endif
}

/* What a thread does that looks again and again: another one on the same core goes on meanwhile. */
static inline void imgstore_pause(void)
{
#ifdef IMGSTORE_X86
    _mm_pause();
#endif
}

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

#ifdef IMGSTORE_X86

/* Bytes that come from memory at a time. */
#define IMGSTORE_LINE 64

/* Factors, each as often as they go into a vector. */
typedef struct {
    __m256i luma, shift, blue_cb, green_cb, green_cr, red_cr;
} imgstore_wide_factors;

#define IMGSTORE_TARGET __attribute__((target("avx2")))
#define IMGSTORE_FOR(name) imgstore_##name##_avx2
#include "yuv_rows_x86.h"
#undef IMGSTORE_TARGET
#undef IMGSTORE_FOR

#define IMGSTORE_TARGET __attribute__((target("avx2,avx512bw,avx512vl")))
#define IMGSTORE_FOR(name) imgstore_##name##_avx512
#include "yuv_rows_x86.h"
#undef IMGSTORE_TARGET
#undef IMGSTORE_FOR

/* What one of these returns, 0 where the processor has none. */
#define IMGSTORE_FAST(name, ...)                                                                           \
    (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")                              \
         ? imgstore_##name##_avx512(__VA_ARGS__)                                                           \
     : __builtin_cpu_supports("avx2") ? imgstore_##name##_avx2(__VA_ARGS__)                                \
                                      : 0)
#else
#define IMGSTORE_FAST(...) 0
#endif

static void imgstore_limited_luma_to_gray_row(const uint8_t *luma, uint8_t *gray, ptrdiff_t width)
{
    ptrdiff_t x = IMGSTORE_FAST(limited_luma_to_gray_row, luma, gray, width);
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
    for (ptrdiff_t i = IMGSTORE_FAST(centre, samples, row, count); i < count; i++)
        row[i] = (int16_t)((samples[i] - 128) * 128);
    for (int k = 1; k <= IMGSTORE_MARGIN; k++) {
        row[-k] = row[0];
        row[count - 1 + k] = row[count - 1];
    }
    ptrdiff_t x = 2 * IMGSTORE_FAST(between_columns, row, centered, out, width / 2);
    if (x > 2) /* whose weights are its own */
        out[2] = imgstore_chroma_at(row, 2, centered);
    for (; x < width; x++)
        out[x] = imgstore_chroma_at(row, x, centered);
}

/* The same at a row of luma, between four such rows. */
static void imgstore_chroma_between_rows(const int16_t *const *rows, ptrdiff_t place, int16_t *out, ptrdiff_t width)
{
    const int16_t *weights = imgstore_weights_at(place);
    ptrdiff_t x = IMGSTORE_FAST(between_rows, rows, weights, out, width);
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
    ptrdiff_t x = IMGSTORE_FAST(yuv_to_bgr_row, luma, cb, cr, bgr, width, f);
    for (; x < width; x++) {
        const int y = imgstore_product(luma[x] * 128, f->luma) + f->shift;
        bgr[3 * x] = imgstore_level(y + imgstore_product(cb[x], f->blue_cb));
        bgr[3 * x + 1]
            = imgstore_level(y + imgstore_product(cb[x], f->green_cb) + imgstore_product(cr[x], f->green_cr));
        bgr[3 * x + 2] = imgstore_level(y + imgstore_product(cr[x], f->red_cr));
    }
}

/* The rows at `place`, which is odd, and behind it: they are between the same four rows of chroma. `large`: the whole
 * picture takes more than the caches have room for. `u` and `v` have room for a row each. */
static void imgstore_yuv_to_bgr_pair(
    const uint8_t *const *luma, const int16_t *const *cb, const int16_t *const *cr, ptrdiff_t place, uint8_t *const *bgr,
    ptrdiff_t width, const imgstore_yuv_factors *f, int large, int16_t *u, int16_t *v)
{
    const int16_t *const weights[2] = {imgstore_weights_at(place), imgstore_weights_at(place + 1)};
    const ptrdiff_t x = IMGSTORE_FAST(yuv_to_bgr_pair, luma, cb, cr, weights, bgr, width, f, large);
    if (x == width)
        return;
    const int16_t *const cb_left[4] = {cb[0] + x, cb[1] + x, cb[2] + x, cb[3] + x};
    const int16_t *const cr_left[4] = {cr[0] + x, cr[1] + x, cr[2] + x, cr[3] + x};
    for (int row = 0; row < 2; row++) {
        imgstore_chroma_between_rows(cb_left, place + row, u, width - x);
        imgstore_chroma_between_rows(cr_left, place + row, v, width - x);
        imgstore_yuv_to_bgr_row(luma[row] + x, u, v, bgr[row] + 3 * x, width - x, f);
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
    ptrdiff_t x = IMGSTORE_FAST(bgr_to_yuv_rows, bgr, luma, cb, cr, width, f);
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
