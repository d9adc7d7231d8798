/*
 * QTests of KVM dirty page tracking: what the guest runs
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "dirty-tracking-guest.h"

/* The image ends at 1 MiB (and at 4 GiB, where the first vCPU starts). */
#define IMAGE_SIZE 0x10000
#define PROGRAM_OFFSET 0xf000
#define RESET_OFFSET 0xfff0

/* ljmpw $0xff00, $0: as after a start IPI with vector 0xff */
static const uint8_t reset_vector[] = { 0xea, 0x00, 0x00, 0x00, 0xff };

/*
 * At 0xff000; real mode, CS = 0xff00.  The numbers of the constants above
 * stand in it, little endian: see the asserts below.
 */
static const uint8_t program[] = {
    0xfa,                                     /*        cli               */
    0x2e, 0x0f, 0x01, 0x16, 0x60, 0x00,       /*        lgdtw %cs:gdtr    */
    0x0f, 0x20, 0xc0,                         /*        mov %cr0, %eax    */
    0x0c, 0x01,                               /*        or $1, %al        */
    0x0f, 0x22, 0xc0,                         /*        mov %eax, %cr0    */
    0x66, 0xea, 0x17, 0xf0, 0x0f, 0x00,       /*        ljmpl $8, $code32 */
    0x08, 0x00,

    /* code32, at 0xff017: protected mode, the APIC ID chooses the area */
    0x66, 0xb8, 0x10, 0x00,                   /*        mov $16, %ax      */
    0x8e, 0xd8,                               /*        mov %ax, %ds      */
    0xb8, 0x01, 0x00, 0x00, 0x00,             /*        mov $1, %eax      */
    0x0f, 0xa2,                               /*        cpuid             */
    0xc1, 0xeb, 0x18,                         /*        shr $24, %ebx     */
    0xc1, 0xe3, 0x17,                         /*        shl $23, %ebx     */
    0x81, 0xc3, 0x00, 0x00, 0x20, 0x00,       /*        add $2 MiB, %ebx  */
    0x8d, 0x93, 0x00, 0x00, 0x80, 0x00,       /*        lea 8 MiB(%ebx), %edx */
    0x31, 0xc9,                               /*        xor %ecx, %ecx    */

    0x41,                                     /* round: inc %ecx          */
    0x89, 0xd8,                               /*        mov %ebx, %eax    */
    0x89, 0x08,                               /* page:  mov %ecx, (%eax)  */
    0x05, 0x00, 0x10, 0x00, 0x00,             /*        add $4096, %eax   */
    0x39, 0xd0,                               /*        cmp %edx, %eax    */
    0x72, 0xf5,                               /*        jb page           */
    0xeb, 0xf0,                               /*        jmp round         */

    /*
     * Descriptors at 0x48: none, code and data, both flat, and marked as
     * accessed: in ROM the CPU could not do that.
     */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00,
    /* gdtr, at 0x60: limit and address */
    0x17, 0x00, 0x48, 0xf0, 0x0f, 0x00,
};

QEMU_BUILD_BUG_ON(GUEST_PAGE_SIZE != 4096);
QEMU_BUILD_BUG_ON(GUEST_AREA_SIZE != 8 * 1024 * 1024);
QEMU_BUILD_BUG_ON(GUEST_AREA(0) != 2 * 1024 * 1024);
QEMU_BUILD_BUG_ON(GUEST_SIPI_VECTOR * GUEST_PAGE_SIZE !=
                  0x100000 - IMAGE_SIZE + PROGRAM_OFFSET);
QEMU_BUILD_BUG_ON(GUEST_AREA(GUEST_MAX_CPUS) > GUEST_RAM_MIB * 1024 * 1024);

void dirty_tracking_guest_write(const char *path)
{
    g_autofree char *image = g_malloc0(IMAGE_SIZE);
    g_autoptr(GError) err = NULL;

    memcpy(image + PROGRAM_OFFSET, program, sizeof(program));
    memcpy(image + RESET_OFFSET, reset_vector, sizeof(reset_vector));
    g_file_set_contents(path, image, IMAGE_SIZE, &err);
    g_assert_no_error(err);
}
