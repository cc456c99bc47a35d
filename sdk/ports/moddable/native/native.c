// ESP32: slots, resets and randomness of ESP-IDF for XS. Written from ESP-IDF's documentation
// (app_update, esp_system, esp_random, esp_task_wdt, esp_sleep); not compiled or run yet.

#include "xsmc.h"
#include "mc.xs.h"

#include <string.h>

#include "esp_app_desc.h"
#include "esp_heap_caps.h"
#include "esp_ota_ops.h"
#include "esp_partition.h"
#include "esp_random.h"
#include "esp_sleep.h"
#include "esp_system.h"
#include "esp_task_wdt.h"

#define DIGEST_SIZE 32

static void check(xsMachine *the, esp_err_t error) {
	if (error != ESP_OK) xsUnknownError((char *)esp_err_to_name(error));
}

// The bootloader starts the other slot next, as a trial where rollback is enabled.
void xs_flotilla_stage(xsMachine *the) {
	const esp_partition_t *slot = esp_ota_get_next_update_partition(NULL);
	if (slot == NULL) xsUnknownError("no second slot");
	check(the, esp_ota_set_boot_partition(slot));
}

void xs_flotilla_confirm(xsMachine *the) {
	check(the, esp_ota_mark_app_valid_cancel_rollback());
}

// Does not return where there is an image to go back to.
void xs_flotilla_reject(xsMachine *the) {
	check(the, esp_ota_mark_app_invalid_rollback_and_reboot());
}

void xs_flotilla_restart(xsMachine *the) {
	esp_restart();
}

void xs_flotilla_resetReason(xsMachine *the) {
	xsmcSetInteger(xsResult, esp_reset_reason());
}

void xs_flotilla_isTrial(xsMachine *the) {
	esp_ota_img_states_t state;
	esp_err_t error = esp_ota_get_state_partition(esp_ota_get_running_partition(), &state);
	xsmcSetBoolean(xsResult, error == ESP_OK && state == ESP_OTA_IMG_PENDING_VERIFY);
}

void xs_flotilla_version(xsMachine *the) {
	xsmcSetString(xsResult, (char *)esp_app_get_description()->version);
}

void xs_flotilla_digest(xsMachine *the) {
	uint8_t digest[DIGEST_SIZE];
	check(the, esp_partition_get_sha256(esp_ota_get_running_partition(), digest));
	xsmcSetArrayBuffer(xsResult, digest, DIGEST_SIZE);
}

void xs_flotilla_random(xsMachine *the) {
	// A true random number while the radio is on; seeded by the bootloader before that.
	xsmcSetInteger(xsResult, (int32_t)esp_random());
}

void xs_flotilla_feedWatchdog(xsMachine *the) {
	// The task may not be watched: then there is nothing to feed.
	(void)esp_task_wdt_reset();
}

void xs_flotilla_deepSleep(xsMachine *the) {
	esp_sleep_enable_timer_wakeup((uint64_t)(xsmcToNumber(xsArg(0)) * 1000.0));
	esp_deep_sleep_start();
}

void xs_flotilla_heapUsed(xsMachine *the) {
	xsmcSetInteger(xsResult, heap_caps_get_total_size(MALLOC_CAP_8BIT) - heap_caps_get_free_size(MALLOC_CAP_8BIT));
}
