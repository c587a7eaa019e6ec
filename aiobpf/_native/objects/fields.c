/*
 * Values of the members of a struct, as aiobpf.btf.codec gives them: the same bytes are the same value there.
 *
 * A member is read when it is asked for. What lies within which bytes was checked when the layout was made.
 */
#include "objects.h"

#define UNSIGNED 'u'
#define SIGNED   'i'
#define BOOLEAN  '?'
#define FLOATING 'f'
#define TEXT     's'
#define BLOB     'b'
#define BITS     'x'
#define LIST     'l'
#define RECORD   'r'
#define OTHER    'o'

enum kind {
	UNSIGNED_1, UNSIGNED_2, UNSIGNED_4, UNSIGNED_8, SIGNED_1, SIGNED_2, SIGNED_4, SIGNED_8,
	NAMED_UNSIGNED, NAMED_SIGNED, IS_TRUE, FLOAT_4, FLOAT_8, IS_TEXT, IS_BLOB, IS_BITS, IS_LIST, IS_RECORD, IS_OTHER,
};

static int refuse(const char *why, Py_ssize_t offset)
{
	PyErr_Format(PyExc_ValueError, "the member at byte %zd: %s", offset, why);
	return -1;
}

/* The last item of a description, by code. */
static int init_object(struct field *field, PyObject *object, struct objects *objects)
{
	Py_ssize_t size = field->size;
	int is_signed, is_boolean;

	switch (field->code) {
	case UNSIGNED:
	case SIGNED:
		if (size != 1 && size != 2 && size != 4 && size != 8)
			return refuse("no size of a number", field->offset);
		field->kind = field->code == SIGNED ? SIGNED_1 : UNSIGNED_1;
		field->kind += size == 8 ? 3 : size / 2;
		if (object != Py_None) {
			field->object = REF(object);
			field->kind = field->code == SIGNED ? NAMED_SIGNED : NAMED_UNSIGNED;
		}
		return 0;
	case BOOLEAN:
		field->kind = IS_TRUE;
		return size == 1 ? 0 : refuse("no size of a boolean", field->offset);
	case FLOATING:
		field->kind = size == 4 ? FLOAT_4 : FLOAT_8;
		return size == 4 || size == 8 ? 0 : refuse("no size of a float", field->offset);
	case TEXT:
	case BLOB:
		field->kind = field->code == TEXT ? IS_TEXT : IS_BLOB;
		return 0;
	case BITS:
		field->kind = IS_BITS;
		if (!PyArg_ParseTuple(object, "bbppO", &field->shift, &field->width, &is_signed, &is_boolean, &object))
			return -1;
		field->is_signed = is_signed;
		field->is_boolean = is_boolean;
		field->object = object == Py_None ? NULL : REF(object);
		if (size < 1 || size > 8 || !field->width || field->shift + field->width > size * 8)
			return refuse("bits outside of their bytes", field->offset);
		return 0;
	case LIST:
		field->kind = IS_LIST;
		if (!PyArg_ParseTuple(object, "nO", &field->count, &object))
			return -1;
		field->element = PyMem_Calloc(1, sizeof(*field->element));
		if (!field->element) {
			PyErr_NoMemory();
			return -1;
		}
		if (field_init(field->element, object, size == REST || !field->count ? PY_SSIZE_T_MAX : size, objects) < 0)
			return -1;
		if (field->element->offset || field->element->size == REST || field->count < 0)
			return refuse("no element of a list", field->offset);
		if (size != REST && field->element->size && field->count > size / field->element->size)
			return refuse("a list beyond its end", field->offset);
		return 0;
	case RECORD:
		field->kind = IS_RECORD;
		if (Py_TYPE(object) != objects->layout)
			return refuse("no layout", field->offset);
		field->object = REF(object);
		return ((struct layout *)object)->size == size ? 0 : refuse("a struct of another size", field->offset);
	case OTHER:
		field->kind = IS_OTHER;
		field->object = REF(object);
		return 0;
	default:
		return refuse("no kind of value", field->offset);
	}
}

int field_init(struct field *field, PyObject *description, Py_ssize_t room, struct objects *objects)
{
	PyObject *object;
	int code;

	if (!PyArg_ParseTuple(description, "CnnO", &code, &field->offset, &field->size, &object))
		return -1;
	field->code = code < 128 ? (char)code : 0;
	if (field->offset < 0 || field->offset > room)
		return refuse("it begins outside of the struct", field->offset);
	if (field->size == REST) {
		if (!strchr("sbl", field->code))
			return refuse("it has no size", field->offset);
	} else if (field->size < 0 || field->size > room - field->offset) {
		return refuse("it ends outside of the struct", field->offset);
	}
	return init_object(field, object, objects);
}

void field_clear(struct field *field)
{
	Py_CLEAR(field->object);
	if (field->element) {
		field_clear(field->element);
		PyMem_Free(field->element);
		field->element = NULL;
	}
}

int field_traverse(const struct field *field, visitproc visit, void *arg)
{
	Py_VISIT(field->object);
	return field->element ? field_traverse(field->element, visit, arg) : 0;
}

bool field_is_hashable(const struct field *field)
{
	return field->code != LIST && field->code != OTHER;
}

/* --- values --------------------------------------------------------------------------------------------------------- */

/* The unsigned number that 1 to 8 bytes are. */
static inline unsigned long long word(const unsigned char *bytes, Py_ssize_t size)
{
	unsigned long long found = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(&found, bytes, size);
#else
	memcpy((unsigned char *)&found + sizeof(found) - size, bytes, size);
#endif
	return found;
}

static inline long long signed_word(const unsigned char *bytes, Py_ssize_t size)
{
	unsigned int unused = 64 - (unsigned int)size * 8;
	return (long long)(word(bytes, size) << unused) >> unused;
}

static PyObject *bits(const struct field *field, const unsigned char *bytes)
{
	unsigned int unused = 64 - field->width;
	unsigned long long found = word(bytes, field->size) >> field->shift << unused;
	if (field->is_signed)
		return PyLong_FromLongLong((long long)found >> unused);
	return PyLong_FromUnsignedLongLong(found >> unused);
}

static PyObject *text(const unsigned char *bytes, Py_ssize_t size)
{
	const unsigned char *end = size ? memchr(bytes, 0, size) : NULL;
	return PyUnicode_DecodeUTF8((const char *)bytes, end ? end - bytes : size, "backslashreplace");
}

/* *number*, which goes over, as the names have it: a member of an enum, or itself where it has none. */
static PyObject *named(const struct field *field, PyObject *number)
{
	if (!field->object || !number)
		return number;
	PyObject *found = PyObject_GetItem(field->object, number);
	Py_DECREF(number);
	return found;
}

static PyObject *list(const struct field *field, const unsigned char *bytes, Py_ssize_t rest)
{
	const struct field *element = field->element;
	Py_ssize_t count = field->count;
	if (field->size == REST)
		count = element->size ? rest / element->size : 0;
	PyObject *made = PyList_New(count);
	for (Py_ssize_t index = 0; made && index < count; index++) {
		PyObject *value = field_value(element, bytes + index * element->size, element->size);
		if (!value || PyList_SetItem(made, index, value) < 0)
			Py_CLEAR(made);
	}
	return made;
}

static PyObject *float_4(const unsigned char *bytes)
{
	float number;
	memcpy(&number, bytes, sizeof(number));
	return PyFloat_FromDouble(number);
}

static PyObject *float_8(const unsigned char *bytes)
{
	double number;
	memcpy(&number, bytes, sizeof(number));
	return PyFloat_FromDouble(number);
}

static PyObject *other(const struct field *field, const unsigned char *bytes)
{
	PyObject *raw = PyBytes_FromStringAndSize((const char *)bytes, field->size);
	if (!raw)
		return NULL;
	PyObject *made = PyObject_CallFunctionObjArgs(field->object, raw, NULL);
	Py_DECREF(raw);
	return made;
}

PyObject *field_value(const struct field *field, const unsigned char *record, Py_ssize_t length)
{
	const unsigned char *bytes = record + field->offset;
	Py_ssize_t size = field->size == REST ? length - field->offset : field->size;

	switch ((enum kind)field->kind) {
	case UNSIGNED_1:
		return PyLong_FromLong((long)word(bytes, 1));
	case UNSIGNED_2:
		return PyLong_FromLong((long)word(bytes, 2));
	case UNSIGNED_4:
		return PyLong_FromUnsignedLong((unsigned long)word(bytes, 4));
	case UNSIGNED_8:
		return PyLong_FromUnsignedLongLong(word(bytes, 8));
	case SIGNED_1:
		return PyLong_FromLong((long)signed_word(bytes, 1));
	case SIGNED_2:
		return PyLong_FromLong((long)signed_word(bytes, 2));
	case SIGNED_4:
		return PyLong_FromLong((long)signed_word(bytes, 4));
	case SIGNED_8:
		return PyLong_FromLongLong(signed_word(bytes, 8));
	case NAMED_UNSIGNED:
		return named(field, PyLong_FromUnsignedLongLong(word(bytes, size)));
	case NAMED_SIGNED:
		return named(field, PyLong_FromLongLong(signed_word(bytes, size)));
	case IS_TRUE:
		return PyBool_FromLong(*bytes);
	case FLOAT_4:
		return float_4(bytes);
	case FLOAT_8:
		return float_8(bytes);
	case IS_TEXT:
		return text(bytes, size);
	case IS_BLOB:
		return PyBytes_FromStringAndSize((const char *)bytes, size);
	case IS_BITS:
		if (field->is_boolean && !field->object)
			return PyBool_FromLong((word(bytes, field->size) >> field->shift << (64 - field->width)) != 0);
		return named(field, bits(field, bytes));
	case IS_LIST:
		return list(field, bytes, size);
	case IS_RECORD:
		return event_make((struct layout *)field->object, bytes, size);
	case IS_OTHER:
		break;
	}
	return other(field, bytes);
}
