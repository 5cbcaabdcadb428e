/* Prints the size and the field offsets of every struct in controller/kernel/xfrm-layout.ts as the system's headers have them. */
#include <linux/xfrm.h>
#include <stddef.h>
#include <stdio.h>

#define SIZE(type) printf(#type " size %zu\n", sizeof(struct type))
#define FIELD(type, field) printf(#type " " #field " %zu\n", offsetof(struct type, field))

int main(void) {
  SIZE(xfrm_selector);
  FIELD(xfrm_selector, daddr);
  FIELD(xfrm_selector, saddr);
  FIELD(xfrm_selector, dport);
  FIELD(xfrm_selector, dport_mask);
  FIELD(xfrm_selector, sport);
  FIELD(xfrm_selector, sport_mask);
  FIELD(xfrm_selector, family);
  FIELD(xfrm_selector, prefixlen_d);
  FIELD(xfrm_selector, prefixlen_s);
  FIELD(xfrm_selector, proto);
  FIELD(xfrm_selector, ifindex);
  FIELD(xfrm_selector, user);
  SIZE(xfrm_id);
  FIELD(xfrm_id, daddr);
  FIELD(xfrm_id, spi);
  FIELD(xfrm_id, proto);
  SIZE(xfrm_lifetime_cfg);
  FIELD(xfrm_lifetime_cfg, soft_byte_limit);
  FIELD(xfrm_lifetime_cfg, soft_add_expires_seconds);
  SIZE(xfrm_usersa_info);
  FIELD(xfrm_usersa_info, sel);
  FIELD(xfrm_usersa_info, id);
  FIELD(xfrm_usersa_info, saddr);
  FIELD(xfrm_usersa_info, lft);
  FIELD(xfrm_usersa_info, curlft);
  FIELD(xfrm_usersa_info, stats);
  FIELD(xfrm_usersa_info, seq);
  FIELD(xfrm_usersa_info, reqid);
  FIELD(xfrm_usersa_info, family);
  FIELD(xfrm_usersa_info, mode);
  FIELD(xfrm_usersa_info, replay_window);
  FIELD(xfrm_usersa_info, flags);
  SIZE(xfrm_usersa_id);
  FIELD(xfrm_usersa_id, daddr);
  FIELD(xfrm_usersa_id, spi);
  FIELD(xfrm_usersa_id, family);
  FIELD(xfrm_usersa_id, proto);
  SIZE(xfrm_userpolicy_info);
  FIELD(xfrm_userpolicy_info, sel);
  FIELD(xfrm_userpolicy_info, lft);
  FIELD(xfrm_userpolicy_info, curlft);
  FIELD(xfrm_userpolicy_info, priority);
  FIELD(xfrm_userpolicy_info, index);
  FIELD(xfrm_userpolicy_info, dir);
  FIELD(xfrm_userpolicy_info, action);
  FIELD(xfrm_userpolicy_info, flags);
  FIELD(xfrm_userpolicy_info, share);
  SIZE(xfrm_userpolicy_id);
  FIELD(xfrm_userpolicy_id, sel);
  FIELD(xfrm_userpolicy_id, index);
  FIELD(xfrm_userpolicy_id, dir);
  SIZE(xfrm_userpolicy_type);
  FIELD(xfrm_userpolicy_type, type);
  SIZE(xfrm_user_tmpl);
  FIELD(xfrm_user_tmpl, id);
  FIELD(xfrm_user_tmpl, family);
  FIELD(xfrm_user_tmpl, saddr);
  FIELD(xfrm_user_tmpl, reqid);
  FIELD(xfrm_user_tmpl, mode);
  FIELD(xfrm_user_tmpl, share);
  FIELD(xfrm_user_tmpl, optional);
  FIELD(xfrm_user_tmpl, aalgos);
  FIELD(xfrm_user_tmpl, ealgos);
  FIELD(xfrm_user_tmpl, calgos);
  SIZE(xfrm_algo_aead);
  FIELD(xfrm_algo_aead, alg_name);
  FIELD(xfrm_algo_aead, alg_key_len);
  FIELD(xfrm_algo_aead, alg_icv_len);
  FIELD(xfrm_algo_aead, alg_key);
  SIZE(xfrm_replay_state_esn);
  FIELD(xfrm_replay_state_esn, bmp_len);
  FIELD(xfrm_replay_state_esn, oseq);
  FIELD(xfrm_replay_state_esn, seq);
  FIELD(xfrm_replay_state_esn, oseq_hi);
  FIELD(xfrm_replay_state_esn, seq_hi);
  FIELD(xfrm_replay_state_esn, replay_window);
  FIELD(xfrm_replay_state_esn, bmp);
  SIZE(xfrm_mark);
  FIELD(xfrm_mark, v);
  FIELD(xfrm_mark, m);
  return 0;
}
