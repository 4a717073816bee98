# cython: language_level=3, boundscheck=False, cdivision=True, initializedcheck=False
"""Where is frame n? The table of chunks, and the look-ups over it.

An index is a *table* with one `Row` per chunk and a *block* of bytes per chunk. A block holds the chunk's
times (float64) and, where its frame numbers are not simply consecutive, what is needed to have them exactly:
the int16 by which each differs from a straight count, or the int64 numbers themselves. A frame is thus 8
bytes almost always. Blocks lie in *regions*, arrays in RAM, one after the other as a recording grows; or in a
file, from which each is read when it is first needed, and some `HELD` bytes of them are held. Only the table
is always there.

A *position* counts the frames of the store, in store order, from 0. For each key, frame number or time, the
positions fall into maximal *runs* in which the key never decreases. One run is the rule, a few come of clocks
that were set back; each is searched by bisection, the table first and then one block. With more than
`MAX_RUNS` of them (a counter that wraps), a permutation of the positions that sorts the key, stable and so in
store order among equals, is made when first needed, or comes from the cache file. Either way a look-up is
O(log n). NaN times are in no run and behind the end of the permutation: they are never found.

Every index that comes from a file is checked or clamped where it is used, so that damaged input gives wrong
answers at worst, never an access outside of a region; and each block from a file is compared with its
checksum in the table.

Reading a block lets other threads run, who may load blocks, drop them, or close the index. So a pointer to a
block is not kept beyond the next time that one may be read.

One module, because the steps of a look-up are so short that they have to be inlined into each other, and
numbers and times are searched by the same code, which is compiled for either.
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
from xxhash import xxh3_64_intdigest

from imgstore.errors import ArgumentError, FrameIndexError, StaleIndexError, StoreClosedError

cdef extern from *:
    """
    #define IMGSTORE_MAX_RUNS 16
    """
    enum: RUNS "IMGSTORE_MAX_RUNS"

# What look-ups compare, and with it the key: 0 for numbers, 1 for times.
ctypedef fused Value:
    int64_t
    double

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
    int64_t offset          # of the block in its region or file
    int64_t number_first
    int64_t number_min
    int64_t number_max
    int64_t number_width    # bytes per frame for the numbers: 0, 2 or 8
    double time_first
    double time_min         # of the times that are not NaN; NaN if all are
    double time_max
    int64_t flags           # 1 << key: that one never decreases, and is never NaN
    uint64_t checksum       # XXH3-64 of the block


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
HELD = 1 << 27  # bytes of blocks read from a file: 16 million frames, a week at 25 per second

cdef int64_t held_at_most = HELD


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


# ---- rows and blocks

cdef inline int key_of(Value kind) noexcept nogil:
    return 0 if Value is int64_t else 1


cdef inline Value first_in(const Row *row, Value kind) noexcept nogil:
    if Value is int64_t:
        return row.number_first
    else:
        return row.time_first


cdef inline Value lowest_in(const Row *row, Value kind) noexcept nogil:
    if Value is int64_t:
        return row.number_min
    else:
        return row.time_min


cdef inline Value highest_in(const Row *row, Value kind) noexcept nogil:
    if Value is int64_t:
        return row.number_max
    else:
        return row.time_max


cdef inline Value value_in(const Row *row, const char *block, int64_t i, Value kind) noexcept nogil:
    """Number or time of the i-th frame of a chunk; numbers of 0 bytes need no block."""
    cdef int64_t residual = 0
    if Value is double:
        return (<const double *>block)[i]
    else:
        if row.number_width == 8:
            return (<const int64_t *>(block + 8 * row.count))[i]
        if row.number_width == 2:
            residual = (<const int16_t *>(block + 8 * row.count))[i]
        return <int64_t>(<uint64_t>row.number_first + <uint64_t>i + <uint64_t>residual)


cdef inline int64_t block_size(int64_t count, int64_t width) noexcept nogil:
    return 8 * count + ((width * count + 7) & ~<int64_t>7)


cdef int64_t summarize(const Value[::1] values, Value *lowest, Value *highest) noexcept:
    """Find the lowest and highest value, NaN if all are; return the flag of a row if they never decrease."""
    cdef Value value = values[0], last = value
    cdef bint ordered = value == value
    cdef int64_t i
    lowest[0] = highest[0] = value
    for i in range(1, values.shape[0]):
        value = values[i]
        if not value >= last:  # NaN is neither
            ordered = False
        if value < lowest[0] or lowest[0] != lowest[0]:
            lowest[0] = value
        if value > highest[0] or highest[0] != highest[0]:
            highest[0] = value
        last = value
    return (<int64_t>ordered) << key_of(value)


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
    if n < 1 or times.shape[0] != n:
        raise ValueError(f"a block needs as many numbers as times, and some, not {n} and {times.shape[0]}")
    row.chunk, row.start, row.count, row.offset = chunk, start, n, offset
    row.number_first, row.time_first = numbers[0], times[0]
    row.flags = summarize(numbers, &row.number_min, &row.number_max)
    row.flags |= summarize(times, &row.time_min, &row.time_max)
    for i in range(1, n):
        # modulo 2**64, and back in the same way: exact for any numbers
        residual = <int64_t>(<uint64_t>numbers[i] - <uint64_t>numbers[0] - <uint64_t>i)
        if residual:
            if residual < -32768 or residual > 32767:
                width = 8
                break
            width = 2
    row.number_width = width
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
    row.checksum = xxh3_64_intdigest(block)
    return PyBytes_FromStringAndSize(<const char *>&row, sizeof(Row)), block


# ---- values that callers give, and distances from them

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


cdef inline void set_distance(Candidate *candidate, Value high, Value low, int less, int rest) noexcept:
    """Set the distance of two values, of numbers less one where what was asked for lies beyond `low`, and its rest."""
    if Value is int64_t:
        candidate.whole = <uint64_t>high - <uint64_t>low - <uint64_t>less
        candidate.rest = rest
    else:
        set_time_distance(candidate, high, low)


cdef class FrameIndex:
    """The frame numbers and times of a store, by position and by value.

    Parameters
    ----------
    table : buffer
        Rows as `encode_block` makes them, one after the other. Their ``start`` is not looked at.
    data : buffer or callable
        The blocks: a buffer, which is kept and not copied, or what returns the bytes at an offset, of a size,
        and has a length.
    number_order, time_order : (callable, int, int), optional
        From `order`: what returns the permutation's bytes, its number of entries, and the CRC-32 of the bytes,
        by which it is checked at its first use.

    Raises
    ------
    ValueError
        The table is damaged: it points outside of `data`.
    StaleIndexError
        From whatever needs a block: it cannot be read, or is not what it was.
    """

    cdef Row *rows
    cdef const char **blocks  # NULL: to be read
    cdef int64_t usual_count
    cdef bint closed
    cdef tuple regions
    cdef object source      # of the blocks of the first `distant` rows
    cdef int64_t distant
    cdef dict held          # blocks that were read from it, by row, the oldest first
    cdef int64_t held_size
    cdef list keep          # what the orders in `spans` point into
    cdef tuple stored       # the orders given, until they are needed
    cdef Spans[2] spans     # of the numbers, of the times
    cdef readonly int64_t row_count
    cdef readonly int64_t frame_count

    def __cinit__(self, table, data, number_order=None, time_order=None):
        self.keep = []
        self.held = {}
        self.stored = (number_order, time_order)
        self.load(None, table, data)

    def __dealloc__(self):
        PyMem_Free(self.rows)
        PyMem_Free(self.blocks)

    cdef int load(self, FrameIndex before, table, data) except -1:
        """Fill the table from the rows of another index, if any, and new ones."""
        cdef bytes rows = bytes(table)
        cdef Region region = None if callable(data) else Region(data)
        cdef int64_t size = len(data) if region is None else region.size
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
            self.source, self.distant, self.regions = before.source, before.distant, before.regions
            for r in range(self.distant):
                self.blocks[r] = NULL  # what it holds it may drop
        else:
            self.regions = ()
        if region is None:
            self.source, self.distant = data, n
        else:
            self.regions += (region,)
        memcpy(self.rows + old, PyBytes_AS_STRING(rows), n * sizeof(Row))
        for r in range(old, old + n):
            row = self.rows + r
            if (row.number_width not in (0, 2, 8) or row.count < 1 or row.count > size // 8
                    or row.offset < 0 or row.offset % 8
                    or row.offset > size - block_size(row.count, row.number_width)):
                raise ValueError(f"row {r} of the index's table points outside of its data")
            row.start = total
            total += row.count
            self.blocks[r] = NULL if region is None else region.data + row.offset
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
        for key in range(2):
            if not self.spans[key].ready and self.stored[key] is not None:
                self.prepare(key)  # the order in the file is of this index alone
        PyMem_Free(new.rows)
        PyMem_Free(new.blocks)
        new.rows = NULL
        new.blocks = NULL
        new.load(self, table, data)
        new.keep = list(self.keep)
        for key in range(2):
            if self.spans[key].ready:
                new.spans[key] = self.spans[key]
                new.spans[key].ready = False
        return new

    def close(self):
        """Let go of the blocks; nothing can be looked up any more. Doing it twice does no harm."""
        self.closed = True
        self.row_count = self.frame_count = 0
        memset(self.spans, 0, sizeof(self.spans))
        self.regions = ()
        self.source = None
        self.held = {}
        self.keep = []
        self.stored = (None, None)

    cdef int check_open(self) except -1:
        if self.closed:
            raise StoreClosedError("the index has been closed")
        return 0

    # ---- blocks that are read when they are needed

    cdef bytes read_block(self, int64_t r):
        """Read a block from the file."""
        cdef Row *row = self.rows + r
        cdef int64_t size = block_size(row.count, row.number_width)
        self.check_open()
        try:
            block = self.source(row.offset, size)
        except OSError as error:
            raise StaleIndexError(f"the cached index can be read no longer: {error.strerror or error}") from error
        self.check_open()  # other threads ran meanwhile
        if len(block) != size or xxh3_64_intdigest(block) != row.checksum:
            raise StaleIndexError(f"what the cached index holds of chunk {row.chunk} is not what it was")
        return block

    cdef void hold_block(self, int64_t r, bytes block):
        """Keep a block in memory, and no more of them than there may be."""
        cdef int64_t oldest
        if r in self.held:
            return
        while self.held and self.held_size + len(block) > held_at_most:
            oldest = next(iter(self.held))
            self.blocks[oldest] = NULL
            self.held_size -= len(self.held.pop(oldest))
        self.held[r] = block
        self.held_size += len(block)
        self.blocks[r] = PyBytes_AS_STRING(block)

    cdef inline int need(self, int64_t r, Value kind) except -1:
        """See that there is what `value_in` reads of a row."""
        if self.blocks[r] == NULL and (Value is double or self.rows[r].number_width):
            self.hold_block(r, self.read_block(r))
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

    cdef inline int get(self, int64_t position, Value *value) except -1:
        cdef int64_t r = self.row_of(position)
        self.need(r, value[0])
        value[0] = value_in(self.rows + r, self.blocks[r], position - self.rows[r].start, value[0])
        return 0

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
        cdef int64_t p = self.as_position(position), number = 0
        cdef double time = 0
        self.get(p, &number)
        self.get(p, &time)
        return number, time

    def numbers(self, start=0, stop=None):
        """Copy the frame numbers of a range of positions into an array of int64."""
        cdef int64_t first, last
        cdef int64_t[::1] out
        first, last, _ = slice(start, stop).indices(self.frame_count)
        values = np.empty(max(last - first, 0), np.int64)
        out = values
        self.copy_values(first, out.shape[0], &out[0])
        return values

    def times(self, start=0, stop=None):
        """Copy the times of a range of positions into an array of float64."""
        cdef int64_t first, last
        cdef double[::1] out
        first, last, _ = slice(start, stop).indices(self.frame_count)
        values = np.empty(max(last - first, 0), np.float64)
        out = values
        self.copy_values(first, out.shape[0], &out[0])
        return values

    cdef int copy_values(self, int64_t first, int64_t count, Value *out) except -1:
        """Copy values from a position on. Blocks that are read for it are not held."""
        cdef int64_t p = first, last = first + count, r, i, end
        cdef Value kind = 0
        cdef bytes read
        cdef const char *block
        cdef Row *row
        self.check_open()
        while p < last:
            r = self.row_of(p)
            row = self.rows + r
            block = self.blocks[r]
            if block == NULL and (Value is double or row.number_width):
                read = self.read_block(r)
                block = PyBytes_AS_STRING(read)
            end = min(last, row.start + row.count)
            for i in range(p, end):
                out[i - first] = value_in(row, block, i - row.start, kind)
            p = end
        return 0

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

    def row_size(self, int64_t row):
        """Return how many frames a row has."""
        if not 0 <= row < self.row_count:
            raise IndexError(f"there is no row {row}")
        return self.rows[row].count

    def number_range(self):
        """Return the lowest and highest frame number, None when there are no frames."""
        cdef int64_t low = 0, high = 0
        return (low, high) if self.find_range(&low, &high) else None

    def time_range(self):
        """Return the lowest and highest time, NaN when there are none."""
        cdef double low = NAN, high = NAN
        self.find_range(&low, &high)
        return low, high

    cdef bint find_range(self, Value *low, Value *high) noexcept:
        cdef int64_t r
        cdef Value lowest, highest
        cdef bint found = False
        for r in range(self.row_count):
            lowest, highest = lowest_in(self.rows + r, low[0]), highest_in(self.rows + r, low[0])
            if lowest != lowest:
                continue
            if not found or lowest < low[0]:
                low[0] = lowest
            if not found or highest > high[0]:
                high[0] = highest
            found = True
        return found

    def holds(self, int64_t row, const int64_t[::1] numbers, const double[::1] times):
        """Whether a row and its block are, to the bit, what these numbers and times make.

        They are then held as if they had been read from the file.
        """
        self.check_open()
        if not 0 <= row < self.row_count or numbers.shape[0] < 1:
            return False
        cdef Row *own = self.rows + row
        cdef bytes expected, block
        expected, block = encode_block(own.chunk, own.start, own.offset, numbers, times)
        if memcmp(PyBytes_AS_STRING(expected), own, sizeof(Row)):
            return False
        if self.blocks[row] == NULL:
            self.hold_block(row, block)
        return True

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
        if is_run(&self.spans[key].span[0]):
            return None
        _, positions, size = [kept for kept in self.keep if kept[0] == key][-1]
        return positions, size

    cdef int prepare(self, int key) except -1:
        cdef Spans spans
        cdef bint few
        if self.spans[key].ready:
            return 0
        spans = self.spans[key]
        if not spans.covered and self.stored[key] is not None:
            self.use_stored_order(key, &spans)
        few = self.find_runs(&spans, <double>0) if key else self.find_runs(&spans, <int64_t>0)
        if not few:
            # an order that covers the better part of the store stays, so that a growing one is not sorted
            # anew
            if (spans.count and spans.span[0].stop - spans.span[0].start >= self.frame_count // 2
                    and not is_run(&spans.span[0])):
                spans.count = 1
            else:
                spans.count = 0
            self.add_order(key, &spans, spans.span[0].stop if spans.count else 0)
        spans.covered = self.frame_count
        spans.ready = True
        self.check_open()  # sorting lets other threads run, and one may have closed this
        self.spans[key] = spans
        return 0

    cdef int find_runs(self, Spans *spans, Value last) except -1:
        """Continue the runs from where they were known to; 0 when there are too many of them."""
        cdef int64_t position = spans.covered, r, i
        cdef Value value
        cdef bint inside = False
        cdef Row *row
        if position >= self.frame_count:
            return 1
        if spans.count and is_run(&spans.span[spans.count - 1]) and spans.span[spans.count - 1].stop == position:
            inside = True
            self.get(position - 1, &last)
        for r in range(self.row_of(position), self.row_count):
            row = self.rows + r
            if row.flags & (<int64_t>1 << key_of(last)):
                if not (inside and first_in(row, last) >= last) and not self.open_run(spans, row.start):
                    return 0
                inside = True
                last = highest_in(row, last)
                spans.span[spans.count - 1].stop = row.start + row.count
                continue
            self.need(r, last)
            for i in range(row.count):
                value = value_in(row, self.blocks[r], i, last)
                if value != value:  # NaN
                    inside = False
                    continue
                if not (inside and value >= last) and not self.open_run(spans, row.start + i):
                    return 0
                inside = True
                last = value
                spans.span[spans.count - 1].stop = row.start + i + 1
        for i in range(spans.count):
            if is_run(&spans.span[i]):
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
        read, entries, checksum = self.stored[key]
        width = 4 if self.frame_count <= 0xFFFFFFFF else 8
        try:
            data = read()
        except OSError:
            return 0  # it is made anew
        if (not self.frame_count or len(data) != self.frame_count * width or entries > self.frame_count
                or zlib.crc32(data) != checksum):
            return 0
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

    # ---- look-ups by value

    cdef int64_t lower_bound(self, const Span *span, Value value) except -1:
        """First entry of a span whose value is not below `value`, its size if there is none."""
        cdef int64_t low = 0, high = span.size, middle, r
        cdef Value found = value
        cdef const Row *row
        cdef const char *block
        if is_run(span):
            r = self.row_below(span, value)
            self.need(r, value)
            row, block = self.rows + r, self.blocks[r]
            low = max(row.start, span.start)
            high = min(row.start + row.count, span.stop)
            while low < high:
                middle = (low + high) >> 1
                if value_in(row, block, middle - row.start, value) < value:
                    low = middle + 1
                else:
                    high = middle
            return low - span.start
        while low < high:
            middle = (low + high) >> 1
            self.get(self.entry(span, middle), &found)
            if found < value:
                low = middle + 1
            else:
                high = middle
        return low

    cdef int64_t row_below(self, const Span *span, Value value) noexcept:
        """Last row of a run that begins below `value`; the run's first row if none does."""
        cdef int64_t low = self.row_of(span.start), high = self.row_of(span.stop - 1), middle
        while low < high:
            middle = (low + high + 1) >> 1
            if first_in(self.rows + middle, value) < value:
                low = middle
            else:
                high = middle - 1
        return low

    cdef int64_t find(self, Value value) except -2:
        """First position in store order with a value; -1 when there is none."""
        cdef int key = key_of(value)
        cdef int64_t k, i, position
        cdef Value found = value
        cdef const Span *span
        self.prepare(key)
        for i in range(self.spans[key].count):
            span = &self.spans[key].span[i]
            k = self.lower_bound(span, value)
            if k < span.size:
                position = self.entry(span, k)
                self.get(position, &found)
                if found == value:
                    return position
        return -1

    cdef int64_t nearest(self, Value value, bint beyond, int side) except -2:
        """First position in store order of the values nearest to a value; -1 when there are none.

        With `beyond` what was asked for lies between `value` and the next number: `side` compares it with the middle.
        """
        cdef int key = key_of(value)
        cdef int64_t k, i
        cdef Value found = value, before = value
        cdef const Span *span
        cdef Candidate best, new
        self.prepare(key)
        memset(&best, 0, sizeof(best))
        memset(&new, 0, sizeof(new))
        best.position = -1
        for i in range(self.spans[key].count):
            span = &self.spans[key].span[i]
            k = self.lower_bound(span, <Value>(value + beyond))
            if k < span.size:
                new.position = self.entry(span, k)
                self.get(new.position, &found)
                set_distance(&new, found, value, beyond, beyond and side < 0)
                if is_nearer(&new, &best):
                    best = new
            if k > 0:
                self.get(self.entry(span, k - 1), &found)
                if k > 1:
                    self.get(self.entry(span, k - 2), &before)
                    if before == found:
                        k = self.lower_bound(span, found) + 1  # to the first of several
                new.position = self.entry(span, k - 1)
                set_distance(&new, value, found, 0, beyond and side > 0)
                if is_nearer(&new, &best):
                    best = new
        return best.position

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
        cdef int64_t whole = 0
        cdef int side = 0
        self.check_open()
        if as_number(value, &whole, &side) != WHOLE:
            return -1
        return self.find(whole)

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
        cdef int64_t whole = 0
        cdef int side = 0, kind
        self.check_open()
        kind = as_number(value, &whole, &side)
        if kind == NOT_A_NUMBER:
            raise ArgumentError("nothing is near to NaN")
        return self.nearest(whole, kind == FRACTION, side)

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
        cdef double time
        self.check_open()
        time = as_time(value)
        return -1 if isnan(time) else self.find(time)

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
        cdef int64_t position
        cdef double time
        self.check_open()
        time = as_time(value)
        if isnan(time):
            raise ArgumentError("nothing is near to NaN")
        if isinf(time):
            # all that is finite is equally far from infinity, yet the last or first is what is meant
            position = self.find(time)
            if position >= 0:
                return position
            time = DBL_MAX if time > 0 else -DBL_MAX
        return self.nearest(time, False, 0)


cdef inline bint is_run(const Span *span) noexcept nogil:
    return span.order32 == NULL and span.order64 == NULL
