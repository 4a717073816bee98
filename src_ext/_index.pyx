# cython: language_level=3, boundscheck=False, cdivision=True, initializedcheck=False
"""Where is frame n? The table of chunks, and the look-ups over it.

An index is a *table* with one `Row` per chunk and a *block* of bytes per chunk. A block holds the chunk's
times (float64) and, where its frame numbers are not simply consecutive, what is needed to have them exactly:
the int16 by which each differs from a straight count, or the int64 numbers themselves. A frame is thus 8
bytes almost always. Blocks lie in *regions*, any objects with the buffer protocol: a memory-mapped file, an
array in RAM, one after the other as a recording grows. Nothing is copied out of a region but the table.

A *position* counts the frames of the store, in store order, from 0. For each key, frame number or time, the
positions fall into maximal *runs* in which the key never decreases. One run is the rule, a few come of clocks
that were set back; each is searched by bisection, the table first and then one block, which also touches few
pages of a mapped file. With more than `MAX_RUNS` of them (a counter that wraps), a permutation of the
positions that sorts the key, stable and so in store order among equals, is made when first needed, or comes
from the cache file. Either way a look-up is O(log n). NaN times are in no run and behind the end of the
permutation: they are never found.

Every index that comes from a file is checked or clamped where it is used, so that damaged input gives wrong
answers at worst (which `imgstore.index` detects), never an access outside of a region.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.float cimport PyFloat_AsDouble, PyFloat_Check
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_Check
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.number cimport PyIndex_Check, PyNumber_Index
from libc.float cimport DBL_MAX
from libc.math cimport INFINITY, NAN, fabs, floor, isinf, isnan
from libc.stdint cimport INT64_MAX, INT64_MIN, int16_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

import zlib

import numpy as np

from imgstore.errors import ArgumentError, FrameIndexError, StoreClosedError

cdef extern from *:
    """
    #define IMGSTORE_MAX_RUNS 16
    """
    enum: RUNS "IMGSTORE_MAX_RUNS"

cdef enum:
    NUMBERS_SORTED = 1
    TIMES_SORTED = 2

# What a value given by the caller is, compared with the int64 numbers.
cdef enum:
    WHOLE = 0
    FRACTION = 1
    OUTSIDE = 2
    NOT_A_NUMBER = 3


cdef struct Row:
    int64_t chunk
    int64_t start           # position of the chunk's first frame
    int64_t count
    int64_t offset          # of the block in its region
    int64_t number_first
    int64_t number_min
    int64_t number_max
    int64_t number_width    # bytes per frame for the numbers: 0, 2 or 8
    double time_first
    double time_min         # of the times that are not NaN; NaN if all are
    double time_max
    int64_t flags


cdef struct Span:
    int64_t start           # positions of the frames that it covers
    int64_t stop
    int64_t size            # entries: all of them, less the NaN where there is an order
    const uint32_t *order32  # positions less `start`, sorted by value; both NULL for a run
    const int64_t *order64


cdef struct Spans:
    bint ready
    int64_t covered         # positions from here on are still to be looked at
    int64_t count
    Span span[RUNS + 1]


# How far a frame is from what was asked for: `whole` and `rest` for numbers, `distance` and its rounding
# error for times.
cdef struct Candidate:
    int64_t position
    uint64_t whole
    int rest
    double distance
    double error


ROW_SIZE = sizeof(Row)
MAX_RUNS = RUNS


@cython.no_gc  # what exports bytes refers to nothing here; Cython's way to clear it would drop the exporter unreleased
cdef class Region:
    """Bytes that stay where they are for as long as this object lives."""

    cdef Py_buffer buffer
    cdef const char *data
    cdef int64_t size
    cdef object exporter

    def __cinit__(self, exporter):
        PyObject_GetBuffer(exporter, &self.buffer, PyBUF_SIMPLE)
        if <size_t>self.buffer.buf % 8:
            PyBuffer_Release(&self.buffer)
            exporter = np.frombuffer(exporter, np.uint8).copy()  # numpy aligns its memory
            PyObject_GetBuffer(exporter, &self.buffer, PyBUF_SIMPLE)
        self.exporter = exporter
        self.data = <const char *>self.buffer.buf
        self.size = self.buffer.len

    def __dealloc__(self):
        PyBuffer_Release(&self.buffer)


cdef inline int64_t block_size(int64_t count, int64_t width) noexcept nogil:
    return 8 * count + ((width * count + 7) & ~<int64_t>7)


def encode_block(int64_t chunk, int64_t start, int64_t offset, const int64_t[::1] numbers,
                 const double[::1] times):
    """Make the row and the block of a chunk.

    Parameters
    ----------
    chunk : int
        The chunk's number.
    start : int
        Position of its first frame.
    offset : int
        Where the block will be in its region; a multiple of 8.
    numbers : ndarray of int64, shape (n,)
    times : ndarray of float64, shape (n,)
        n is at least 1.

    Returns
    -------
    row, block : bytes
    """
    cdef int64_t n = numbers.shape[0], i, width = 0, residual
    cdef Row row
    cdef bytes block
    cdef char *target
    cdef double t
    if n < 1 or times.shape[0] != n:
        raise ValueError(f"a block needs as many numbers as times, and some, not {n} and {times.shape[0]}")
    row.chunk, row.start, row.count, row.offset = chunk, start, n, offset
    row.number_first = row.number_min = row.number_max = numbers[0]
    row.flags = NUMBERS_SORTED
    for i in range(1, n):
        if numbers[i] < numbers[i - 1]:
            row.flags = 0
        if numbers[i] < row.number_min:
            row.number_min = numbers[i]
        if numbers[i] > row.number_max:
            row.number_max = numbers[i]
        # modulo 2**64, and back in the same way: exact for any numbers
        residual = <int64_t>(<uint64_t>numbers[i] - <uint64_t>numbers[0] - <uint64_t>i)
        if residual:
            if residual < -32768 or residual > 32767:
                width = 8
            elif width == 0:
                width = 2
    row.number_width = width
    row.time_first = times[0]
    row.time_min = INFINITY
    row.time_max = -INFINITY
    row.flags |= TIMES_SORTED
    for i in range(n):
        t = times[i]
        if isnan(t) or (i and t < times[i - 1]):
            row.flags &= ~<int64_t>TIMES_SORTED
        if t < row.time_min:
            row.time_min = t
        if t > row.time_max:
            row.time_max = t
    if row.time_min > row.time_max:  # nothing but NaN
        row.time_min = row.time_max = NAN
    block = PyBytes_FromStringAndSize(NULL, block_size(n, width))
    target = PyBytes_AS_STRING(block)
    memcpy(target, &times[0], 8 * n)
    target += 8 * n
    if width == 8:
        memcpy(target, &numbers[0], 8 * n)
    elif width == 2:
        memset(target + 2 * n, 0, block_size(n, 2) - 10 * n)
        for i in range(n):
            (<int16_t *>target)[i] = <int16_t><int64_t>(
                <uint64_t>numbers[i] - <uint64_t>numbers[0] - <uint64_t>i)
    return PyBytes_FromStringAndSize(<const char *>&row, sizeof(Row)), block


cdef int as_number(object value, int64_t *whole, int *side) except -1:
    """Take a value apart: its floor, clamped, in `whole`; `side` compares it with the middle to the next."""
    cdef int overflow = 0
    cdef double x, below
    if isinstance(value, (str, bytes)):
        raise ArgumentError(f"{value!r} is not a number")
    if not PyFloat_Check(value) and PyIndex_Check(value):
        try:
            if not PyLong_Check(value):
                value = PyNumber_Index(value)
            whole[0] = PyLong_AsLongLongAndOverflow(value, &overflow)
            if not overflow:
                return WHOLE
            whole[0] = INT64_MAX if overflow > 0 else INT64_MIN
            return OUTSIDE
        except TypeError:
            pass  # numpy's arrays have an __index__ that may refuse; one may still be a float
    x = as_time(value)
    if isnan(x):
        return NOT_A_NUMBER
    if x >= 9223372036854775808.0:
        whole[0] = INT64_MAX
        return OUTSIDE
    if x < -9223372036854775808.0:
        whole[0] = INT64_MIN
        return OUTSIDE
    below = floor(x)
    whole[0] = <int64_t>below
    if below == x:
        return WHOLE
    side[0] = (x > below + 0.5) - (x < below + 0.5)
    return FRACTION


cdef double as_time(object value) except? -1.0:
    if PyFloat_Check(value):
        return PyFloat_AsDouble(value)
    if isinstance(value, (str, bytes)):
        raise ArgumentError(f"{value!r} is not a number")
    try:
        return PyFloat_AsDouble(value)
    except OverflowError:
        return INFINITY if value > 0 else -INFINITY
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{value!r} is not a number") from error


cdef inline bint is_nearer(Candidate *new, Candidate *best) noexcept:
    """Whether `new` comes before `best`: nearer, or as near and earlier in the store."""
    if best.position < 0:
        return True
    if new.whole != best.whole:
        return new.whole < best.whole
    if new.rest != best.rest:
        return new.rest < best.rest
    if new.distance != best.distance:
        return new.distance < best.distance
    if new.error != best.error:
        return new.error < best.error
    return new.position < best.position


cdef void set_time_distance(Candidate *candidate, double high, double low) noexcept:
    """Set the distance of two times exactly: the rounded difference and its error (Dekker's Fast2Sum)."""
    cdef double larger = high, smaller = -low
    candidate.whole = 0
    if isinf(high) or isinf(low):
        candidate.whole = 2  # farther than everything that is finite, and all as far
        candidate.distance = candidate.error = 0.0
        return
    if fabs(larger) < fabs(smaller):
        larger, smaller = smaller, larger
    if isinf(larger + smaller):
        candidate.whole = 1  # farther than any double; of halves, which are exact for what is so large
        larger, smaller = larger / 2, smaller / 2
    candidate.distance = larger + smaller
    candidate.error = smaller - (candidate.distance - larger)


cdef class FrameIndex:
    """The frame numbers and times of a store, by position and by value.

    Parameters
    ----------
    table : buffer
        Rows as `encode_block` makes them, one after the other. Their ``start`` is not looked at.
    data : buffer
        The blocks. It is kept, not copied.
    number_order, time_order : (buffer, int, int), optional
        From `order`: the permutation, its number of entries, and the CRC-32 of its bytes, by which it is
        checked at its first use.

    Raises
    ------
    ValueError
        The table is damaged: it points outside of `data`.
    """

    cdef Row *rows
    cdef const char **blocks
    cdef int64_t usual_count
    cdef bint closed
    cdef tuple regions
    cdef list keep          # what the orders in `spans` point into
    cdef tuple stored       # the orders given, until they are needed
    cdef Spans[2] spans     # of the numbers, of the times
    cdef readonly int64_t row_count
    cdef readonly int64_t frame_count

    def __cinit__(self, table, data, number_order=None, time_order=None):
        self.keep = []
        self.stored = (number_order, time_order)
        self.load(None, table, data)

    def __dealloc__(self):
        PyMem_Free(self.rows)
        PyMem_Free(self.blocks)

    cdef int load(self, FrameIndex before, table, data) except -1:
        """Fill the table from the rows of another index, if any, and new ones."""
        cdef bytes rows = bytes(table)
        cdef Region region = Region(data)
        cdef int64_t old = 0 if before is None else before.row_count
        cdef int64_t n = len(rows) // <int64_t>sizeof(Row), total = 0, r
        cdef Row *row
        if len(rows) % <int64_t>sizeof(Row):
            raise ValueError("the index's table does not hold a whole number of rows")
        self.rows = <Row *>PyMem_Malloc((old + n + 1) * sizeof(Row))
        self.blocks = <const char **>PyMem_Malloc((old + n + 1) * sizeof(void *))
        if self.rows == NULL or self.blocks == NULL:
            raise MemoryError()
        if before is not None:
            memcpy(self.rows, before.rows, old * sizeof(Row))
            memcpy(self.blocks, before.blocks, old * sizeof(void *))
            total = before.frame_count
        memcpy(self.rows + old, PyBytes_AS_STRING(rows), n * sizeof(Row))
        for r in range(old, old + n):
            row = self.rows + r
            if (row.number_width not in (0, 2, 8) or row.count < 1 or row.count > region.size // 8
                    or row.offset < 0 or row.offset % 8
                    or row.offset > region.size - block_size(row.count, row.number_width)):
                raise ValueError(f"row {r} of the index's table points outside of its data")
            row.start = total
            total += row.count
            self.blocks[r] = region.data + row.offset
        self.regions = (region,) if before is None else before.regions + (region,)
        self.row_count = old + n
        self.frame_count = total
        self.usual_count = self.rows[0].count if self.row_count else 1
        return 0

    def extended(self, table, data):
        """Return an index with further chunks after those of this one, which it shares.

        Parameters
        ----------
        table, data : buffer
            As for the class.

        Returns
        -------
        FrameIndex
            This one is as it was.
        """
        cdef FrameIndex new = FrameIndex.__new__(FrameIndex, b"", b"")
        cdef int key
        self.check_open()
        PyMem_Free(new.rows)
        PyMem_Free(new.blocks)
        new.rows = NULL
        new.blocks = NULL
        new.load(self, table, data)
        new.keep = list(self.keep)
        for key in range(2):
            if not self.spans[key].ready and self.stored[key] is not None:
                self.prepare(key)  # the order in the file is of this index alone
            if self.spans[key].ready:
                new.spans[key] = self.spans[key]
                new.spans[key].ready = False
        return new

    def close(self):
        """Let go of the regions; nothing can be looked up any more. Doing it twice does no harm."""
        self.closed = True
        self.row_count = self.frame_count = 0
        memset(self.spans, 0, sizeof(self.spans))
        self.regions = ()
        self.keep = []
        self.stored = (None, None)

    cdef int check_open(self) except -1:
        if self.closed:
            raise StoreClosedError("the index has been closed")
        return 0

    # ---- a frame by its position

    cdef inline int64_t row_of(self, int64_t position) noexcept:
        """Row that holds a position between 0 and frame_count - 1."""
        cdef int64_t low, high, middle = position // self.usual_count
        # chunks are of one size more often than not
        if middle < self.row_count and self.rows[middle].start <= position:
            if position < self.rows[middle].start + self.rows[middle].count:
                return middle
        low, high = 0, self.row_count - 1
        while low < high:
            middle = (low + high + 1) >> 1
            if self.rows[middle].start <= position:
                low = middle
            else:
                high = middle - 1
        return low

    cdef inline int64_t number_in(self, int64_t r, int64_t i) noexcept:
        cdef Row *row = self.rows + r
        cdef const char *values = self.blocks[r] + 8 * row.count
        cdef int64_t residual = 0
        if row.number_width == 8:
            return (<const int64_t *>values)[i]
        if row.number_width == 2:
            residual = (<const int16_t *>values)[i]
        return <int64_t>(<uint64_t>row.number_first + <uint64_t>i + <uint64_t>residual)

    cdef inline double time_in(self, int64_t r, int64_t i) noexcept:
        return (<const double *>self.blocks[r])[i]

    cdef inline int64_t number_at(self, int64_t position) noexcept:
        cdef int64_t r = self.row_of(position)
        return self.number_in(r, position - self.rows[r].start)

    cdef inline double time_at(self, int64_t position) noexcept:
        cdef int64_t r = self.row_of(position)
        return self.time_in(r, position - self.rows[r].start)

    cdef int64_t as_position(self, object position) except -1:
        cdef int64_t found = self.find_position(position)
        if found < 0:
            raise FrameIndexError(f"there is no frame at position {position!r} of {self.frame_count}")
        return found

    cpdef int64_t find_position(self, position) except -2:
        """Give a position back as an int, or -1 where there is none such.

        Raises
        ------
        ArgumentError
            Not a number.
        """
        cdef int64_t whole = -1
        cdef int side = 0
        self.check_open()
        if as_number(position, &whole, &side) != WHOLE or not 0 <= whole < self.frame_count:
            return -1
        return whole

    cpdef int64_t nearest_position(self, position) except -2:
        """Give the nearest position that there is, the lower one of two; -1 when there are no frames.

        Raises
        ------
        ArgumentError
            Not a number, or NaN.
        """
        cdef int64_t whole = -1
        cdef int side = 0, kind
        self.check_open()
        kind = as_number(position, &whole, &side)
        if kind == NOT_A_NUMBER:
            raise ArgumentError("nothing is near to NaN")
        if kind == FRACTION and side > 0:
            whole += 1
        return min(max(whole, 0), self.frame_count - 1)

    cpdef tuple locate(self, position):
        """Find a position's row in the table and the index within that chunk.

        Raises
        ------
        FrameIndexError
            There is no such position.
        """
        cdef int64_t p = self.as_position(position)
        cdef int64_t r = self.row_of(p)
        return r, p - self.rows[r].start

    cpdef tuple frame(self, position):
        """Return the frame number and time at a position.

        Raises
        ------
        FrameIndexError
            There is no such position.
        """
        cdef int64_t p = self.as_position(position)
        cdef int64_t r = self.row_of(p)
        p -= self.rows[r].start
        return self.number_in(r, p), self.time_in(r, p)

    def numbers(self, start=0, stop=None):
        """Copy the frame numbers of a range of positions into an array of int64."""
        cdef int64_t first, last, p, r, i, end
        first, last, _ = slice(start, stop).indices(self.frame_count)
        values = np.empty(max(last - first, 0), np.int64)
        cdef int64_t[::1] out = values
        self.check_open()
        p = first
        while p < last:
            r = self.row_of(p)
            end = min(last, self.rows[r].start + self.rows[r].count)
            for i in range(p, end):
                out[i - first] = self.number_in(r, i - self.rows[r].start)
            p = end
        return values

    def times(self, start=0, stop=None):
        """Copy the times of a range of positions into an array of float64."""
        cdef int64_t first, last, p, r, end
        first, last, _ = slice(start, stop).indices(self.frame_count)
        values = np.empty(max(last - first, 0), np.float64)
        cdef double[::1] out = values
        self.check_open()
        p = first
        while p < last:
            r = self.row_of(p)
            end = min(last, self.rows[r].start + self.rows[r].count)
            memcpy(&out[p - first], self.blocks[r] + 8 * (p - self.rows[r].start), 8 * (end - p))
            p = end
        return values

    def times_in_place(self):
        """Return all times without a copy where they lie in one piece, with no numbers between.

        Returns
        -------
        ndarray of float64, shape (frame_count,), or None
            Read-only; it keeps its region alive.
        """
        cdef int64_t r
        self.check_open()
        for r in range(self.row_count):
            if self.blocks[r] != self.blocks[0] + 8 * self.rows[r].start:
                return None
            if r + 1 < self.row_count and self.rows[r].number_width:
                return None
        cdef Region region
        for region in self.regions:
            if self.row_count and region.data <= self.blocks[0] < region.data + region.size:
                # regions that happen to be neighbours are still two objects
                if region.data + region.size < self.blocks[0] + 8 * self.frame_count:
                    return None
                start = self.blocks[0] - region.data
                values = np.frombuffer(region.exporter, np.float64, self.frame_count, start)
                values.flags.writeable = False
                return values
        return None

    # ---- the table

    def table(self):
        """Return a copy of all rows, `ROW_SIZE` bytes each."""
        return PyBytes_FromStringAndSize(<const char *>self.rows, self.row_count * sizeof(Row))

    def number_range(self):
        """Return the lowest and highest frame number, None when there are no frames."""
        cdef int64_t r, low = INT64_MAX, high = INT64_MIN
        for r in range(self.row_count):
            low = min(low, self.rows[r].number_min)
            high = max(high, self.rows[r].number_max)
        return (low, high) if self.row_count else None

    def time_range(self):
        """Return the lowest and highest time, NaN when there are none."""
        cdef int64_t r
        cdef double low = INFINITY, high = -INFINITY
        for r in range(self.row_count):
            if self.rows[r].time_min < low:
                low = self.rows[r].time_min
            if self.rows[r].time_max > high:
                high = self.rows[r].time_max
        if low > high:
            return NAN, NAN
        return low, high

    def holds(self, int64_t row, const int64_t[::1] numbers, const double[::1] times):
        """Whether a row and its block are, to the bit, what these numbers and times make."""
        self.check_open()
        if not 0 <= row < self.row_count or numbers.shape[0] < 1:
            return False
        cdef Row *own = self.rows + row
        cdef bytes expected, block
        expected, block = encode_block(own.chunk, own.start, own.offset, numbers, times)
        if memcmp(PyBytes_AS_STRING(expected), own, sizeof(Row)):
            return False
        return memcmp(PyBytes_AS_STRING(block), self.blocks[row], len(block)) == 0

    # ---- runs and orders

    def order(self, str what):
        """Return the permutation that sorts the whole index, if look-ups need one.

        Parameters
        ----------
        what : {'frame_number', 'frame_time'}

        Returns
        -------
        (ndarray of uint32 or int64, int) or None
            The positions, and how many of them there are without those of NaN times, which come last.
        """
        cdef int key = what == "frame_time"
        self.check_open()
        self.prepare(key)
        if self.spans[key].count != 1 or self.spans[key].span[0].stop != self.frame_count:
            return None
        if self.spans[key].span[0].order32 == NULL and self.spans[key].span[0].order64 == NULL:
            return None
        _, positions, size = [kept for kept in self.keep if kept[0] == key][-1]
        return positions, size

    cdef int prepare(self, int key) except -1:
        cdef Spans spans
        if self.spans[key].ready:
            return 0
        spans = self.spans[key]
        if not spans.covered and self.stored[key] is not None:
            self.use_stored_order(key, &spans)
        if not self.find_runs(key, &spans):
            # an order that covers the better part of the store stays, so that a growing one is not sorted
            # anew
            if spans.count and spans.span[0].stop - spans.span[0].start >= self.frame_count // 2 and (
                    spans.span[0].order32 != NULL or spans.span[0].order64 != NULL):
                spans.count = 1
            else:
                spans.count = 0
            self.add_order(key, &spans, spans.span[0].stop if spans.count else 0)
        spans.covered = self.frame_count
        spans.ready = True
        self.check_open()  # sorting lets other threads run, and one may have closed this
        self.spans[key] = spans
        return 0

    cdef int find_runs(self, int key, Spans *spans) except -1:
        """Continue the runs from where they were known to; 0 when there are too many of them."""
        cdef int64_t position = spans.covered, r, i, whole = 0, last_whole = 0
        cdef double time = 0.0, last_time = 0.0
        cdef bint inside = False, fits
        cdef Row *row
        if position >= self.frame_count:
            return 1
        if spans.count:
            last = spans.span + spans.count - 1
            if last.order32 == NULL and last.order64 == NULL and last.stop == position:
                inside = True
                last_whole, last_time = self.number_at(position - 1), self.time_at(position - 1)
        r = self.row_of(position)
        while r < self.row_count:
            row = self.rows + r
            if row.flags & (TIMES_SORTED if key else NUMBERS_SORTED):
                fits = inside and (row.time_first >= last_time if key else row.number_first >= last_whole)
                if not fits and not self.open_run(spans, row.start):
                    return 0
                inside = True
                last_whole, last_time = row.number_max, row.time_max
                spans.span[spans.count - 1].stop = row.start + row.count
            else:
                for i in range(row.count):
                    if key:
                        time = self.time_in(r, i)
                        if isnan(time):
                            inside = False
                            continue
                        fits = inside and time >= last_time
                    else:
                        whole = self.number_in(r, i)
                        fits = inside and whole >= last_whole
                    if not fits and not self.open_run(spans, row.start + i):
                        return 0
                    inside = True
                    last_whole, last_time = whole, time
                    spans.span[spans.count - 1].stop = row.start + i + 1
            r += 1
        for i in range(spans.count):
            if spans.span[i].order32 == NULL and spans.span[i].order64 == NULL:
                spans.span[i].size = spans.span[i].stop - spans.span[i].start
        return 1

    cdef bint open_run(self, Spans *spans, int64_t start) noexcept:
        if spans.count >= RUNS:
            return False
        memset(&spans.span[spans.count], 0, sizeof(Span))
        spans.span[spans.count].start = start
        spans.count += 1
        return True

    cdef int add_order(self, int key, Spans *spans, int64_t start) except -1:
        values = self.times(start) if key else self.numbers(start)
        valid = len(values) - int(np.count_nonzero(np.isnan(values))) if key else len(values)
        positions = np.argsort(values, kind="stable")
        if len(positions) <= 0xFFFFFFFF:
            positions = positions.astype(np.uint32)
        self.point_to_order(key, spans, start, self.frame_count, positions, valid)
        return 0

    cdef int use_stored_order(self, int key, Spans *spans) except -1:
        data, entries, checksum = self.stored[key]
        width = 4 if self.frame_count <= 0xFFFFFFFF else 8
        if (not self.frame_count or len(data) != self.frame_count * width or entries > self.frame_count
                or zlib.crc32(data) != checksum):
            return 0  # it is made anew
        positions = np.frombuffer(data, np.uint32 if width == 4 else np.int64)
        self.point_to_order(key, spans, 0, self.frame_count, positions, entries)
        spans.covered = self.frame_count
        return 0

    cdef int point_to_order(self, int key, Spans *spans, int64_t start, int64_t stop, positions,
                            int64_t size) except -1:
        cdef const uint32_t[::1] narrow
        cdef const int64_t[::1] wide
        cdef Span *span = &spans.span[spans.count]
        memset(span, 0, sizeof(Span))
        span.start, span.stop, span.size = start, stop, size
        if positions.itemsize == 4:
            narrow = positions
            span.order32 = &narrow[0]
        else:
            wide = np.ascontiguousarray(positions, np.int64)
            positions = wide.base
            span.order64 = &wide[0]
        spans.count += 1
        # the pointers stay good while the array lives, and nothing resizes it
        self.keep.append((key, positions, size))
        return 0

    cdef inline int64_t entry(self, const Span *span, int64_t k) noexcept:
        """Position of the k-th frame of a span, in the order of the values."""
        cdef int64_t offset
        if span.order32 != NULL:
            offset = span.order32[k]
        elif span.order64 != NULL:
            offset = span.order64[k]
        else:
            return span.start + k
        # a damaged file must not lead outside
        return span.start + offset if 0 <= offset < span.stop - span.start else span.start

    # ---- look-ups by number

    cdef int64_t lower_number(self, const Span *span, int64_t value) noexcept:
        """First entry of a span whose number is not below `value`, its size if there is none."""
        cdef int64_t low = 0, high = span.size, middle, r, start
        if span.order32 == NULL and span.order64 == NULL:
            r = self.row_by_number(span, value)
            start = self.rows[r].start
            low = max(start, span.start)
            high = min(start + self.rows[r].count, span.stop)
            while low < high:
                middle = (low + high) >> 1
                if self.number_in(r, middle - start) < value:
                    low = middle + 1
                else:
                    high = middle
            return low - span.start
        while low < high:
            middle = (low + high) >> 1
            if self.number_at(self.entry(span, middle)) < value:
                low = middle + 1
            else:
                high = middle
        return low

    cdef int64_t row_by_number(self, const Span *span, int64_t value) noexcept:
        """Last row of a run that begins below `value`; the run's first row if none does."""
        cdef int64_t low = self.row_of(span.start), high = self.row_of(span.stop - 1), middle
        while low < high:
            middle = (low + high + 1) >> 1
            if self.rows[middle].number_first < value:
                low = middle
            else:
                high = middle - 1
        return low

    cpdef int64_t find_number(self, value) except -2:
        """Find the first frame in store order with a number.

        Parameters
        ----------
        value : int or float
            Any kind of number; one that is not whole is not found.

        Returns
        -------
        int
            The position, -1 when there is none.

        Raises
        ------
        ArgumentError
            Not a number.
        """
        cdef int64_t whole = 0, k, i
        cdef int side = 0
        cdef const Span *span
        self.check_open()
        if as_number(value, &whole, &side) != WHOLE:
            return -1
        self.prepare(0)
        for i in range(self.spans[0].count):
            span = &self.spans[0].span[i]
            k = self.lower_number(span, whole)
            if k < span.size and self.number_at(self.entry(span, k)) == whole:
                return self.entry(span, k)
        return -1

    cpdef int64_t nearest_number(self, value) except -2:
        """Find the first frame in store order of those with the number nearest to a value.

        Parameters
        ----------
        value : int or float
            Any kind of number but NaN.

        Returns
        -------
        int
            The position, -1 when there are no frames.

        Raises
        ------
        ArgumentError
            Not a number.
        """
        cdef int64_t whole = 0, k, i, found
        cdef int side = 0, kind
        cdef const Span *span
        cdef Candidate best, new
        self.check_open()
        kind = as_number(value, &whole, &side)
        if kind == NOT_A_NUMBER:
            raise ArgumentError("nothing is near to NaN")
        self.prepare(0)
        memset(&best, 0, sizeof(best))
        memset(&new, 0, sizeof(new))
        best.position = -1
        for i in range(self.spans[0].count):
            span = &self.spans[0].span[i]
            k = self.lower_number(span, whole + 1 if kind == FRACTION else whole)
            if k < span.size:
                new.position = self.entry(span, k)
                new.whole = <uint64_t>self.number_at(new.position) - <uint64_t>whole - (kind == FRACTION)
                new.rest = kind == FRACTION and side < 0
                if is_nearer(&new, &best):
                    best = new
            if k > 0:
                found = self.number_at(self.entry(span, k - 1))
                if k > 1 and self.number_at(self.entry(span, k - 2)) == found:
                    k = self.lower_number(span, found) + 1  # to the first of several
                new.position = self.entry(span, k - 1)
                new.whole = <uint64_t>whole - <uint64_t>found
                new.rest = kind == FRACTION and side > 0
                if is_nearer(&new, &best):
                    best = new
        return best.position

    # ---- look-ups by time

    cdef int64_t lower_time(self, const Span *span, double value) noexcept:
        """First entry of a span whose time is not before `value`, its size if there is none."""
        cdef int64_t low = 0, high = span.size, middle, r, start
        if span.order32 == NULL and span.order64 == NULL:
            r = self.row_by_time(span, value)
            start = self.rows[r].start
            low = max(start, span.start)
            high = min(start + self.rows[r].count, span.stop)
            while low < high:
                middle = (low + high) >> 1
                if self.time_in(r, middle - start) < value:
                    low = middle + 1
                else:
                    high = middle
            return low - span.start
        while low < high:
            middle = (low + high) >> 1
            if self.time_at(self.entry(span, middle)) < value:
                low = middle + 1
            else:
                high = middle
        return low

    cdef int64_t row_by_time(self, const Span *span, double value) noexcept:
        """Last row of a run that begins before `value`; the run's first row if none does."""
        cdef int64_t low = self.row_of(span.start), high = self.row_of(span.stop - 1), middle
        while low < high:
            middle = (low + high + 1) >> 1
            if self.rows[middle].time_first < value:
                low = middle
            else:
                high = middle - 1
        return low

    cpdef int64_t find_time(self, value) except -2:
        """Find the first frame in store order with exactly this time.

        Parameters
        ----------
        value : float
            Seconds.

        Returns
        -------
        int
            The position, -1 when there is none.

        Raises
        ------
        ArgumentError
            Not a number.
        """
        cdef int64_t k, i
        cdef double time
        cdef const Span *span
        self.check_open()
        time = as_time(value)
        if isnan(time):
            return -1
        self.prepare(1)
        for i in range(self.spans[1].count):
            span = &self.spans[1].span[i]
            k = self.lower_time(span, time)
            if k < span.size and self.time_at(self.entry(span, k)) == time:
                return self.entry(span, k)
        return -1

    cpdef int64_t nearest_time(self, value) except -2:
        """Find the first frame in store order of those with the time nearest to a value.

        Parameters
        ----------
        value : float
            Seconds; not NaN.

        Returns
        -------
        int
            The position, -1 when there are no frames or all times are NaN.

        Raises
        ------
        ArgumentError
            Not a number.
        """
        cdef int64_t k, i
        cdef double time, found
        cdef const Span *span
        cdef Candidate best, new
        self.check_open()
        time = as_time(value)
        if isnan(time):
            raise ArgumentError("nothing is near to NaN")
        self.prepare(1)
        if isinf(time):
            # all that is finite is equally far from infinity, yet the last or first is what is meant
            k = self.find_time(time)
            if k >= 0:
                return k
            time = DBL_MAX if time > 0 else -DBL_MAX
        memset(&best, 0, sizeof(best))
        memset(&new, 0, sizeof(new))
        best.position = -1
        for i in range(self.spans[1].count):
            span = &self.spans[1].span[i]
            k = self.lower_time(span, time)
            if k < span.size:
                new.position = self.entry(span, k)
                found = self.time_at(new.position)
                set_time_distance(&new, found, time)
                if is_nearer(&new, &best):
                    best = new
            if k > 0:
                found = self.time_at(self.entry(span, k - 1))
                if k > 1 and self.time_at(self.entry(span, k - 2)) == found:
                    k = self.lower_time(span, found) + 1  # to the first of several
                new.position = self.entry(span, k - 1)
                set_time_distance(&new, time, found)
                if is_nearer(&new, &best):
                    best = new
        return best.position
