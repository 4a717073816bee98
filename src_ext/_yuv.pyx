# cython: language_level=3, auto_pickle=False, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Planes of 8-bit video to gray and BGR, and BGR to planes, for every matrix and both ranges.

OpenCV converts BT.601 with limited range alone, and takes luma below black for black, which makes what is dark and
coloured up to 19 levels too bright. swscale at full accuracy takes six times as long. The other way, OpenCV's chroma is
that of one pixel in four, and the mean of four, which has less noise to encode, takes it five passes.

The equations are those of ITU-R BT.601-7, section 2.5, and BT.709-6, section 3, which differ in the weights of red and
blue alone.

Rows of a large picture are shared out among threads that need no interpreter for it.
"""

from cpython.pythread cimport (
    NOWAIT_LOCK,
    WAIT_LOCK,
    PyThread_acquire_lock,
    PyThread_allocate_lock,
    PyThread_free_lock,
    PyThread_release_lock,
    PyThread_type_lock,
)
from libc.math cimport lround
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int16_t, int32_t, uint8_t
from libc.stdlib cimport free, malloc

cdef extern from "yuv_rows.h" nogil:
    enum: FRACTION "IMGSTORE_FRACTION"
    ctypedef struct Factors "imgstore_yuv_factors":
        int16_t luma
        int16_t shift
        int16_t blue_cb
        int16_t green_cb
        int16_t green_cr
        int16_t red_cr
    enum: BACK_FRACTION "IMGSTORE_BACK_FRACTION"
    ctypedef struct Weights "imgstore_weights":
        int16_t blue
        int16_t green
        int16_t red
        int16_t shift
    ctypedef struct BackFactors "imgstore_bgr_factors":
        Weights luma
        Weights cb
        Weights cr
    int32_t count "imgstore_count" (int32_t*)
    void pause "imgstore_pause" ()
    void limited_luma_to_gray_row "imgstore_limited_luma_to_gray_row" (const uint8_t*, uint8_t*, ptrdiff_t)
    enum: MARGIN "IMGSTORE_MARGIN"
    void chroma_between_columns "imgstore_chroma_between_columns" (
        const uint8_t*, bint, int16_t*, int16_t*, ptrdiff_t
    )
    void chroma_between_rows "imgstore_chroma_between_rows" (const int16_t*[4], ptrdiff_t, int16_t*, ptrdiff_t)
    ptrdiff_t first_sample "imgstore_first_sample" (ptrdiff_t)
    void yuv_to_bgr_row "imgstore_yuv_to_bgr_row" (
        const uint8_t*, const int16_t*, const int16_t*, uint8_t*, ptrdiff_t, const Factors*
    )
    void yuv_to_bgr_pair "imgstore_yuv_to_bgr_pair" (
        const uint8_t*[2], const int16_t*[4], const int16_t*[4], ptrdiff_t, uint8_t*[2], ptrdiff_t, const Factors*, bint,
        int16_t*, int16_t*
    )
    void bgr_to_yuv_rows "imgstore_bgr_to_yuv_rows" (
        const uint8_t*[2], uint8_t*[2], uint8_t*, uint8_t*, ptrdiff_t, const BackFactors*
    )


def limited_luma_to_gray(const uint8_t[:, :] luma, uint8_t[:, ::1] out):
    """Expand luma of limited range, black at 16 and white at 235, to gray.

    Parameters
    ----------
    luma : ndarray of uint8, shape (h, w)
        Its rows may be apart, its columns not.
    out : ndarray of uint8, shape (h, w), C-contiguous
        Filled.

    Raises
    ------
    ValueError
        The shapes do not go together.
    """
    cdef ptrdiff_t row, height = luma.shape[0], width = luma.shape[1]
    _check(luma, height, width)
    if out.shape[0] != height or out.shape[1] != width:
        raise ValueError(f"{height} x {width} pixels do not fit {out.shape[0]} x {out.shape[1]}")
    if width == 0:
        return
    with nogil:
        for row in range(height):
            limited_luma_to_gray_row(&luma[row, 0], &out[row, 0], width)


def yuv_to_bgr(
    const uint8_t[:, :] luma,
    const uint8_t[:, :] cb,
    const uint8_t[:, :] cr,
    uint8_t[:, :, ::1] out,
    double red,
    double blue,
    bint limited,
    bint centered,
    helpers=(),
    ptrdiff_t part=_PART,
):
    """Convert luma and chroma to BGR. Chroma is interpolated by cubics, as swscale does at full accuracy.

    That is between columns first, where what goes beyond the highest level is cut off, as swscale has it, and then between rows.

    Parameters
    ----------
    luma : ndarray of uint8, shape (h, w)
        Its rows may be apart, its columns not.
    cb, cr : ndarray of uint8, shape ((h + 1) // 2, (w + 1) // 2) or (h, (w + 1) // 2)
        Likewise. Of half the height, a sample is half way between two rows of luma.
    out : ndarray of uint8, shape (h, w, 3), C-contiguous
        Filled.
    red, blue : float
        Their weights in luma, which define the matrix.
    limited : bool
        Luma is in 16 to 235 and chroma in 16 to 240. Else both have all levels.
    centered : bool
        A sample of chroma is half way between two columns of luma. Else it is where the first of them is.
    helpers : sequence of Helper
        They take rows too. Nobody else uses them meanwhile.
    part : int
        How many rows are taken at a time.

    Raises
    ------
    ValueError
        The shapes do not go together.
    """
    cdef ptrdiff_t height = luma.shape[0], width = luma.shape[1]
    cdef ptrdiff_t samples = cb.shape[0], columns = (width + 1) // 2
    _check(luma, height, width)
    _check(cb, (height + 1) // 2 if samples != height else height, columns)
    _check(cr, samples, columns)
    if out.shape[0] != height or out.shape[1] != width or out.shape[2] != 3:
        raise ValueError(f"{height} x {width} pixels do not fit {out.shape[0]} x {out.shape[1]} x {out.shape[2]}")
    if width == 0 or height == 0:
        return
    cdef Picture picture
    picture.luma, picture.cb, picture.cr, picture.bgr = &luma[0, 0], &cb[0, 0], &cr[0, 0], &out[0, 0, 0]
    picture.luma_stride, picture.cb_stride, picture.cr_stride = luma.strides[0], cb.strides[0], cr.strides[0]
    picture.height, picture.width, picture.samples = height, width, samples
    picture.factors, picture.centered = _factors(red, blue, limited), centered
    picture.part, picture.taken = max(part, 1), 0
    picture.taken_from[0] = picture.taken_from[1] = 0
    picture.left_out = False
    cdef Helper helper
    cdef bint from_end = True
    cdef list at_work = []
    for helper in helpers:
        if helper.serves:
            at_work.append(helper)
    for helper in at_work:  # nothing may fail from here on, before they are done
        helper.begin(&picture, from_end)
        from_end = not from_end
    with nogil:
        _convert_rows(&picture, False)
    for helper in at_work:
        helper.finish()
    if picture.left_out:
        raise MemoryError


cdef class Helper:
    """Converts rows of pictures in a thread that calls `serve`, beside who asks for that.

    A thread that sleeps takes longer to wake up than another to get ready for converting. So it is to be woken before.
    """

    # Each is released when that is to happen, and taken by who waits for it.
    cdef PyThread_type_lock waking
    cdef PyThread_type_lock beginning
    cdef PyThread_type_lock finishing
    cdef bint awake
    cdef bint serves
    cdef Picture* picture
    cdef bint from_end

    def __cinit__(self):
        self.waking, self.beginning, self.finishing = _taken_lock(), _taken_lock(), _taken_lock()
        if self.waking == NULL or self.beginning == NULL or self.finishing == NULL:
            raise MemoryError

    def __dealloc__(self):
        _free_lock(self.waking)
        _free_lock(self.beginning)
        _free_lock(self.finishing)

    def serve(self):
        """Convert what is asked for, until `dismiss` is called."""
        self.serves = True
        with nogil:
            while True:
                PyThread_acquire_lock(self.waking, WAIT_LOCK)
                _wait_a_little(self.beginning)
                if self.picture == NULL:
                    break
                _convert_rows(self.picture, self.from_end)
                PyThread_release_lock(self.finishing)
        self.serves = False

    def wake(self):
        """Have it wait for something to convert, which is to come soon."""
        if not self.awake:
            self.awake = True
            PyThread_release_lock(self.waking)

    def dismiss(self):
        """Have `serve` return, once and for all."""
        self.serves = False
        self.wake()
        PyThread_release_lock(self.beginning)

    cdef void begin(self, Picture* picture, bint from_end) noexcept:
        self.wake()
        self.picture, self.from_end = picture, from_end
        PyThread_release_lock(self.beginning)

    cdef void finish(self) noexcept:
        with nogil:
            _wait_a_little(self.finishing)
        self.picture = NULL
        self.awake = False


cdef PyThread_type_lock _taken_lock() noexcept:
    cdef PyThread_type_lock lock = PyThread_allocate_lock()
    if lock != NULL:
        PyThread_acquire_lock(lock, WAIT_LOCK)
    return lock


cdef void _free_lock(PyThread_type_lock lock) noexcept:
    if lock != NULL:
        PyThread_free_lock(lock)


cdef void _wait_a_little(PyThread_type_lock lock) noexcept nogil:
    """Take a lock that will be free in some microseconds, without falling asleep unless it takes longer."""
    cdef int k
    for k in range(_TRIALS):
        if PyThread_acquire_lock(lock, NOWAIT_LOCK):
            return
        pause()
    PyThread_acquire_lock(lock, WAIT_LOCK)


cdef enum:
    _PART = 32  # rows of a large picture: they take one or two hundredths of a millisecond
    _TRIALS = 3000  # one or two tenths of a millisecond


cdef struct Picture:  # and what it becomes, by rows that threads take part by part until none is left
    const uint8_t* luma
    const uint8_t* cb
    const uint8_t* cr
    uint8_t* bgr
    ptrdiff_t luma_stride
    ptrdiff_t cb_stride
    ptrdiff_t cr_stride
    ptrdiff_t height
    ptrdiff_t width
    ptrdiff_t samples  # rows of chroma
    Factors factors
    bint centered
    ptrdiff_t part
    int32_t taken
    int32_t taken_from[2]  # the start, and the end
    bint left_out  # for want of memory


cdef bint _take(Picture* picture, bint from_end, ptrdiff_t* first, ptrdiff_t* stop) noexcept nogil:
    # parts begin at odd rows, which are between the same rows of chroma as those that follow
    cdef ptrdiff_t parts = max(picture.height - 2, 0) // picture.part + 1
    if count(&picture.taken) >= parts:
        return False
    cdef ptrdiff_t which = count(&picture.taken_from[from_end])
    if from_end:
        which = parts - 1 - which
    first[0] = which * picture.part + (which > 0)
    stop[0] = min((which + 1) * picture.part + 1, picture.height)
    return True


cdef void _convert_rows(Picture* picture, bint from_end) noexcept nogil:
    """Convert parts as long as there are any: from the start on, or from the end on."""
    cdef ptrdiff_t row, stop, width = picture.width, columns = (width + 1) // 2
    cdef bint halved = picture.samples != picture.height, large = 3 * picture.height * width >= _LARGE
    cdef Chroma u, v
    cdef int16_t* room = <int16_t*>malloc((columns + 2 * MARGIN + 2 * _CHROMA_ROWS * width) * sizeof(int16_t))
    if room == NULL:
        picture.left_out = True
        return
    _begin(&u, picture.cb, picture.cb_stride, picture.samples, room, room + columns + 2 * MARGIN, width)
    _begin(&v, picture.cr, picture.cr_stride, picture.samples, room, u.out + width, width)
    cdef const int16_t* cb_rows[_HELD]
    cdef const int16_t* cr_rows[_HELD]
    cdef const uint8_t* levels[2]
    cdef uint8_t* pixels[2]
    while _take(picture, from_end, &row, &stop):
        while row < stop:
            levels[0], pixels[0] = picture.luma + row * picture.luma_stride, picture.bgr + 3 * row * width
            if halved and row % 2 and row + 1 < stop:
                _rows_around(&u, row, picture.centered, cb_rows)
                _rows_around(&v, row, picture.centered, cr_rows)
                levels[1], pixels[1] = levels[0] + picture.luma_stride, pixels[0] + 3 * width
                yuv_to_bgr_pair(levels, cb_rows, cr_rows, row, pixels, width, &picture.factors, large, u.out, v.out)
                row += 2
            else:
                yuv_to_bgr_row(
                    levels[0], _chroma(&u, row, halved, picture.centered), _chroma(&v, row, halved, picture.centered),
                    pixels[0], width, &picture.factors,
                )
                row += 1
    free(room)


cdef enum:
    # Bytes of BGR from which on it is faster to write past the caches, even for who reads the frame at once
    _LARGE = 3 << 20
    _HELD = 4  # rows of samples between which a row is interpolated
    _CHROMA_ROWS = _HELD + 1


cdef struct Chroma:  # a plane of it, row by row
    const uint8_t* samples
    ptrdiff_t stride
    ptrdiff_t rows
    ptrdiff_t width  # of luma
    int16_t* scratch
    int16_t* held[_HELD]  # interpolated between columns
    ptrdiff_t which[_HELD]  # row of samples that each of these is
    int16_t* out


cdef void _begin(
    Chroma* c, const uint8_t* samples, ptrdiff_t stride, ptrdiff_t rows, int16_t* scratch, int16_t* room, ptrdiff_t width
) noexcept nogil:
    cdef ptrdiff_t k
    c.samples, c.stride, c.rows, c.width, c.scratch = samples, stride, rows, width, scratch
    for k in range(_HELD):
        c.held[k], c.which[k] = room + k * width, -1
    c.out = room + _HELD * width


cdef const int16_t* _chroma(Chroma* c, ptrdiff_t row, bint halved, bint centered) noexcept nogil:
    """Return the chroma at a row of luma."""
    cdef const int16_t* rows[_HELD]
    if not halved:
        return _chroma_row(c, row, centered)
    _rows_around(c, row, centered, rows)
    chroma_between_rows(rows, row, c.out, c.width)
    return c.out


cdef void _rows_around(Chroma* c, ptrdiff_t row, bint centered, const int16_t** rows) noexcept nogil:
    """Find the rows of samples between which a row of luma is."""
    cdef ptrdiff_t k, first = first_sample(row)
    for k in range(_HELD):
        rows[k] = _chroma_row(c, min(max(first + k, 0), c.rows - 1), centered)


cdef const int16_t* _chroma_row(Chroma* c, ptrdiff_t row, bint centered) noexcept nogil:
    """Return a row of samples interpolated between columns."""
    cdef ptrdiff_t k = row % _HELD
    if c.which[k] != row:
        chroma_between_columns(c.samples + row * c.stride, centered, c.scratch, c.held[k], c.width)
        c.which[k] = row
    return c.held[k]


def bgr_to_yuv(
    const uint8_t[:, :, ::1] img,
    uint8_t[:, :] luma,
    uint8_t[:, :] cb,
    uint8_t[:, :] cr,
    double red,
    double blue,
    bint limited,
):
    """Convert BGR to luma and chroma of half the width and height, each sample that of the mean of four pixels.

    Parameters
    ----------
    img : ndarray of uint8, shape (h, w, 3), C-contiguous
        Height and width are even.
    luma : ndarray of uint8, shape (h, w)
        Filled. Its rows may be apart, its columns not.
    cb, cr : ndarray of uint8, shape (h // 2, w // 2)
        Likewise.
    red, blue : float
        Their weights in luma, which define the matrix.
    limited : bool
        Luma shall be in 16 to 235 and chroma in 16 to 240. Else both have all levels.

    Raises
    ------
    ValueError
        The shapes do not go together.
    """
    cdef ptrdiff_t row, height = img.shape[0], width = img.shape[1]
    cdef const uint8_t* pixels[2]
    cdef uint8_t* levels[2]
    if height % 2 or width % 2 or img.shape[2] != 3:
        raise ValueError(f"{height} x {width} x {img.shape[2]} values do not fit four pixels to a sample of chroma")
    _check(luma, height, width)
    _check(cb, height // 2, width // 2)
    _check(cr, height // 2, width // 2)
    if width == 0:
        return
    cdef BackFactors factors = _back_factors(red, blue, limited)
    with nogil:
        for row in range(0, height, 2):
            pixels[0], pixels[1] = &img[row, 0, 0], &img[row + 1, 0, 0]
            levels[0], levels[1] = &luma[row, 0], &luma[row + 1, 0]
            bgr_to_yuv_rows(pixels, levels, &cb[row // 2, 0], &cr[row // 2, 0], width, &factors)


cdef int _check(const uint8_t[:, :] plane, ptrdiff_t height, ptrdiff_t width) except -1:
    if plane.shape[0] != height or plane.shape[1] != width:
        raise ValueError(f"a plane is {plane.shape[0]} x {plane.shape[1]}, not {height} x {width}")
    if plane.strides[1] != 1 and width > 1:
        raise ValueError("a plane's columns are apart")
    return 0


cdef Factors _factors(double red, double blue, bint limited):
    cdef double green = 1 - red - blue
    cdef double unit = 1 << FRACTION
    cdef double luma = unit * (255.0 / 219 if limited else 1)
    cdef double chroma = unit * (255.0 / 224 if limited else 1)
    cdef Factors factors
    factors.luma = <int16_t>lround(luma * 256)
    factors.shift = <int16_t>lround(unit / 2 - (16 * luma if limited else 0))
    factors.blue_cb = <int16_t>lround(2 * (1 - blue) * chroma * 256)
    factors.green_cb = <int16_t>lround(-2 * (1 - blue) * blue / green * chroma * 256)
    factors.green_cr = <int16_t>lround(-2 * (1 - red) * red / green * chroma * 256)
    factors.red_cr = <int16_t>lround(2 * (1 - red) * chroma * 256)
    return factors


cdef BackFactors _back_factors(double red, double blue, bint limited):
    cdef double luma = 219.0 / 255 if limited else 1
    cdef double chroma = (224.0 / 255 if limited else 1) / 2
    cdef double green = 1 - red - blue
    cdef BackFactors factors
    factors.luma = _weights(blue * luma, green * luma, red * luma, 16 if limited else 0)
    factors.cb = _weights(chroma, -green / (1 - blue) * chroma, -red / (1 - blue) * chroma, 128)
    factors.cr = _weights(-blue / (1 - red) * chroma, -green / (1 - red) * chroma, chroma, 128)
    return factors


cdef Weights _weights(double blue, double green, double red, int zero):
    cdef double unit = 1 << BACK_FRACTION
    cdef Weights weights
    weights.blue = <int16_t>lround(blue * unit * 256)
    weights.green = <int16_t>lround(green * unit * 256)
    weights.red = <int16_t>lround(red * unit * 256)
    weights.shift = <int16_t>lround(zero * unit + unit / 2)
    return weights
