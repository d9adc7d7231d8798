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
    0x2e, 0x0f, 0x01, 0x16, 0x78, 0x00,       /*        lgdtw %cs:gdtr    */
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
    0x8d, 0xab, 0x00, 0x00, 0x80, 0x00,       /*        lea 8 MiB(%ebx), %ebp */
    0x31, 0xc9,                               /*        xor %ecx, %ecx    */

    0x89, 0xdf,                               /* round: mov %ebx, %edi    */
    0x41,                                     /* page:  inc %ecx          */
    0x89, 0x0f,                               /*        mov %ecx, (%edi)  */
    0x89, 0x4b, 0x08,                         /*        mov %ecx, 8(%ebx) */
    0x0f, 0x31,                               /* wait:  rdtsc             */
    0x29, 0xf0,                               /*        sub %esi, %eax    */
    0x3b, 0x05, 0x00, 0x10, 0x00, 0x00,       /*        cmp delay, %eax   */
    0x72, 0xf4,                               /*        jb wait           */
    0x01, 0xc6,                               /*        add %eax, %esi    */
    0x81, 0xc7, 0x00, 0x10, 0x00, 0x00,       /*        add $4096, %edi   */
    0x39, 0xef,                               /*        cmp %ebp, %edi    */
    0x72, 0xe2,                               /*        jb page           */
    0xeb, 0xde,                               /*        jmp round         */
    0x90, 0x90, 0x90, 0x90, 0x90, 0x90,       /*        (to 0x60)         */

    /*
     * Descriptors at 0x60: none, code and data, both flat, and marked as
     * accessed: in ROM the CPU could not do that.
     */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00,
    /* gdtr, at 0x78: limit and address */
    0x17, 0x00, 0x60, 0xf0, 0x0f, 0x00,
};

QEMU_BUILD_BUG_ON(GUEST_PAGE_SIZE != 4096);
QEMU_BUILD_BUG_ON(GUEST_AREA_SIZE != 8 * 1024 * 1024);
QEMU_BUILD_BUG_ON(GUEST_AREA(0) != 2 * 1024 * 1024);
QEMU_BUILD_BUG_ON(GUEST_COUNT(0) != GUEST_AREA(0) + 8);
QEMU_BUILD_BUG_ON(GUEST_DELAY != 0x1000);
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
