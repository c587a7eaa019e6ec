#include "objects.h"

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/*
 * Records of a ring buffer that are looked at where they lie, and when the producers get that room back.
 *
 * The kernel overwrites what is before the consumer position, so the position must not pass a record that some array
 * still lies on. Each stretch that was handed out is a Lease: a read-only buffer, which all arrays and memoryviews on it
 * refer to, so that its end is the end of the last of them. What is given back is everything before the oldest lease
 * alive, or before the reader's own position where there is none. The reader's position runs ahead of it, in a word of
 * its own.
 *
 * The end of a lease may come in any thread and at any allocation (garbage collection), so it takes no lock: the GIL
 * guards the list, and only this file stores the consumer position while a lease is alive.
 */

typedef struct lease Lease;

typedef struct {
	PyObject_HEAD
	PyObject *weakrefs;
	PyObject *memory;     /* keeps all that follows mapped */
	PyTypeObject *leased; /* the type Lease of this interpreter's module */
	uint64_t *consumer;   /* the position that producers see */
	uint64_t *position;   /* the reader's own */
	const char *data;     /* twice in a row */
	uint64_t size;
	uint64_t given; /* what was last stored to *consumer: once all is given back, others may read the ring */
	pid_t process;
	Lease *oldest;
	Lease *newest;
} Leases;

struct lease {
	PyObject_HEAD
	Leases *leases;
	Lease *older;
	Lease *newer;
	uint64_t start;
	Py_ssize_t length;
};

static void give_back(Leases *self)
{
	uint64_t free = self->oldest ? self->oldest->start : __atomic_load_n(self->position, __ATOMIC_ACQUIRE);

	if (free == self->given)
		return;
	self->given = free;
	/* The positions are the parent's too: a child of fork() that drops its copies must not tell the kernel so. */
	if (getpid() == self->process)
		__atomic_store_n(self->consumer, free, __ATOMIC_RELEASE);
}

/* --- one lease ---------------------------------------------------------------------------------------------------- */

static void lease_dealloc(PyObject *object)
{
	Lease *self = (Lease *)object;
	PyTypeObject *type = Py_TYPE(object);
	Leases *leases = self->leases;

	if (leases) {
		int was_oldest = leases->oldest == self;

		*(self->older ? &self->older->newer : &leases->oldest) = self->newer;
		*(self->newer ? &self->newer->older : &leases->newest) = self->older;
		if (was_oldest)
			give_back(leases);
		Py_DECREF(leases);
	}
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF(type);
}

static int lease_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
	Lease *self = (Lease *)object;
	const char *address = self->leases->data + (self->start & (self->leases->size - 1));

	return PyBuffer_FillInfo(view, object, (void *)address, self->length, 1, flags);
}

static PyType_Slot lease_slots[] = {
	{Py_tp_dealloc, lease_dealloc},
	{Py_bf_getbuffer, lease_getbuffer},
	{0, NULL},
};

static PyType_Spec lease_spec = {
	.name = "aiobpf._native._objects.Lease",
	.basicsize = sizeof(Lease),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = lease_slots,
};

/* --- those of a ring ---------------------------------------------------------------------------------------------- */

static PyObject *leases_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
	unsigned long long consumer, position, data, size;
	PyObject *memory, *module, *leased;
	Leases *self;

	(void)keywords;
	if (!PyArg_ParseTuple(arguments, "KKKKO:Leases", &consumer, &position, &data, &size, &memory))
		return NULL;
	module = PyType_GetModule(type);
	leased = module ? PyObject_GetAttrString(module, "Lease") : NULL;
	if (!leased)
		return NULL;
	self = (Leases *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
	if (!self) {
		Py_DECREF(leased);
		return NULL;
	}
	Py_INCREF(memory);
	self->memory = memory;
	self->leased = (PyTypeObject *)leased;
	self->consumer = (uint64_t *)(uintptr_t)consumer;
	self->position = (uint64_t *)(uintptr_t)position;
	self->data = (const char *)(uintptr_t)data;
	self->size = size;
	self->process = getpid();
	return (PyObject *)self;
}

static void leases_dealloc(PyObject *object)
{
	Leases *self = (Leases *)object;
	PyTypeObject *type = Py_TYPE(object);

	PyObject_ClearWeakRefs(object);
	Py_XDECREF(self->memory);
	Py_XDECREF((PyObject *)self->leased);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF(type);
}

static PyObject *leases_take(PyObject *object, PyObject *arguments)
{
	Leases *self = (Leases *)object;
	unsigned long long start, length;
	Lease *lease;

	if (!PyArg_ParseTuple(arguments, "KK:take", &start, &length))
		return NULL;
	if (length == 0 || length > self->size) {
		PyErr_SetString(PyExc_ValueError, "a lease is of 1 byte at least, and of the whole ring at most");
		return NULL;
	}
	lease = (Lease *)((allocfunc)PyType_GetSlot(self->leased, Py_tp_alloc))(self->leased, 0);
	if (!lease)
		return NULL;
	Py_INCREF(object);
	lease->leases = self;
	lease->start = start;
	lease->length = (Py_ssize_t)length;
	if (!self->oldest)
		self->given = __atomic_load_n(self->consumer, __ATOMIC_ACQUIRE);
	lease->older = self->newest;
	*(self->newest ? &self->newest->newer : &self->oldest) = lease;
	self->newest = lease;
	__atomic_store_n(self->position, start + length, __ATOMIC_RELEASE);
	return (PyObject *)lease;
}

static PyObject *leases_settle(PyObject *object, PyObject *nothing)
{
	Leases *self = (Leases *)object;
	uint64_t held = 0;

	(void)nothing;
	give_back(self);
	/* Whoever looks for more records after this is woken for those it does not see; see next() in ring.c. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (self->oldest)
		held = __atomic_load_n(self->position, __ATOMIC_ACQUIRE) - self->oldest->start;
	return PyLong_FromUnsignedLongLong(held);
}

static PyMethodDef leases_methods[] = {
	{"take", leases_take, METH_VARARGS,
	 "take(start, length): the Lease of that stretch, behind which the reader's position is then."},
	{"settle", leases_settle, METH_NOARGS,
	 "settle(): give back what no lease holds; the bytes from the oldest lease alive to the reader's position, or 0."},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef leases_members[] = {
	{"__weaklistoffset__", T_PYSSIZET, offsetof(Leases, weakrefs), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot leases_slots[] = {
	{Py_tp_new, leases_new},
	{Py_tp_dealloc, leases_dealloc},
	{Py_tp_methods, leases_methods},
	{Py_tp_members, leases_members},
	{0, NULL},
};

static PyType_Spec leases_spec = {
	.name = "aiobpf._native._objects.Leases",
	.basicsize = sizeof(Leases),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = leases_slots,
};

int add_leases(PyObject *module)
{
	return add_type(module, &lease_spec, NULL, NULL) || add_type(module, &leases_spec, NULL, NULL) ? -1 : 0;
}
